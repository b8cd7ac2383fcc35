package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// SocketPathBytesMax is the longest name that a Unix socket can have (see unix(7)).
const SocketPathBytesMax = 107

// SystemSocket is the socket of the service of deploy/, whose RuntimeDirectory is throng.
const SystemSocket = "/run/throng/admin.sock"

// SocketPath is where the operators' socket of a server stands that was given no other place, and where its operators look for
// it: by the port that it serves. Under systemd it is in the service's own folder, else in one that is its user's alone.
// With make the folder is made if it has to be.
func SocketPath(getenv func(string) string, port string, makeFolder bool) (string, error) {
	if folder, _, _ := strings.Cut(getenv("RUNTIME_DIRECTORY"), ":"); folder != "" {
		return filepath.Join(folder, "admin.sock"), nil
	}
	if folder := getenv("XDG_RUNTIME_DIR"); folder != "" && checkPrivate(folder) == nil {
		return filepath.Join(folder, "throng-"+port+".sock"), nil
	}
	folder := filepath.Join(os.TempDir(), "throng-"+strconv.Itoa(os.Geteuid()))
	if makeFolder {
		if err := os.Mkdir(folder, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			return "", err
		}
	}
	if err := checkPrivate(folder); err != nil {
		return "", err
	}
	return filepath.Join(folder, port+".sock"), nil
}

// checkPrivate reports what is wrong with a folder that nobody but this user and root may look into. It stands where anybody can
// make folders, so somebody else may have made it.
func checkPrivate(folder string) error {
	info, err := os.Lstat(folder)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.IsDir():
		return fmt.Errorf("%s is not a folder", folder)
	case !ok || int(stat.Uid) != os.Geteuid():
		return fmt.Errorf("the folder %s belongs to somebody else", folder)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("others may look into the folder %s (mode %04o); allowed: 0700", folder, info.Mode().Perm())
	}
	return nil
}

// listenSocket binds a Unix socket that only its owner may connect to. One that was left behind is replaced; one that somebody
// listens on is not, and neither is any other kind of file.
func listenSocket(path string) (net.Listener, error) {
	if len(path) > SocketPathBytesMax {
		return nil, fmt.Errorf("its name has %d bytes; allowed: %d", len(path), SocketPathBytesMax)
	}
	if err := clearSocket(path); err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, err
	}
	// Until here its mode is what the umask leaves; whoever got in is asked for their uid all the same.
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// dialTime is far above what a server on this machine takes to accept, unless it is overrun; then somebody listens.
const dialTime = time.Second

// clearSocket takes away a socket that nobody listens on any more.
func clearSocket(path string) error {
	if err := SocketFree(path); err != nil {
		return err
	}
	if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// SocketFree reports why a socket cannot be put at a path. One that was left behind does not count.
func SocketFree(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != os.ModeSocket {
		return fmt.Errorf("%s is there and is not a socket", path)
	}
	c, err := net.DialTimeout("unix", path, dialTime)
	if err == nil {
		_ = c.Close()
		return fmt.Errorf("another server listens on %s: %w", path, syscall.EADDRINUSE)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return nil
}

// peer is who is at the other end of a connection: of a Unix socket by what the kernel says, else nobody in particular.
type peer struct {
	local    bool // of a Unix socket
	uid, pid int
	err      error
}

// trusted reports whether the kernel vouches for the peer: it is root, or this server's own user.
func (p peer) trusted() bool {
	return p.local && p.err == nil && (p.uid == 0 || p.uid == os.Geteuid())
}

type peerKey struct{}

// withPeer notes with a connection who is at its other end.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	if placed, ok := c.(*placedConn); ok {
		c = placed.Conn
	}
	unix, ok := c.(*net.UnixConn)
	if !ok {
		return ctx
	}
	p := peer{local: true, uid: -1}
	raw, err := unix.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) {
			var cred *syscall.Ucred
			if cred, p.err = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED); p.err == nil {
				p.uid, p.pid = int(cred.Uid), int(cred.Pid)
			}
		})
	}
	p.err = errors.Join(p.err, err)
	return context.WithValue(ctx, peerKey{}, p)
}

func peerOf(ctx context.Context) peer {
	p, _ := ctx.Value(peerKey{}).(peer)
	return p
}
