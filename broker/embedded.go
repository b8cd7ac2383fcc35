package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	lockFile = "lock"

	// embeddedStoreMax is no bound: each stream has its own. The sum of what is configured would keep the server from starting when a limit was lowered, since
	// the store then holds more than it may.
	embeddedStoreMax   = 1 << 62
	embeddedPayloadMax = 8 << 20   // a record; the server's own default of 1 MiB is less than a message may be set to
	embeddedPendingMax = 256 << 20 // bytes that our connections may be behind before the server gives them up
	embeddedMemoryMax  = 64 << 20  // of streams in memory, of which we make none

	// spaceReserveBytes is what must stay free on the disk. A write that finds no space ends a stream of JetStream until the next start, so publishing is
	// refused before.
	spaceReserveBytes = 64 << 20
)

// embedded is the NATS server in this process. It opens no port: connections to it are pipes.
type embedded struct {
	nats *server.Server
	dir  string
	lock *os.File
	full atomic.Bool // the disk
}

// startEmbedded takes the folder for itself and starts the server in it.
func startEmbedded(cfg Config, log *limitedLog) (*embedded, error) {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	lock, err := lockFolder(cfg.Dir)
	if err != nil {
		return nil, err
	}
	e := &embedded{dir: cfg.Dir, lock: lock}
	if err := e.start(cfg, log); err != nil {
		e.stop()
		e.unlock()
		return nil, err
	}
	return e, nil
}

func (e *embedded) start(cfg Config, log *limitedLog) (err error) {
	options := &server.Options{
		ServerName: "throng-" + cfg.Node, DontListen: true, NoSigs: true,
		JetStream: true, StoreDir: cfg.Dir, JetStreamMaxMemory: embeddedMemoryMax, JetStreamMaxStore: embeddedStoreMax,
		StreamMaxBufferedMsgs: pendingMessagesMax, StreamMaxBufferedSize: pendingBytesMax, // what we send is bounded by the same
		MaxPayload: embeddedPayloadMax, MaxPending: embeddedPendingMax,
		SyncInterval: cfg.Sync, SyncAlways: cfg.Sync == 0,
	}
	if e.nats, err = server.NewServer(options); err != nil {
		return fmt.Errorf("broker: the embedded server: %w", err)
	}
	e.nats.SetLoggerV2(serverLog{log}, false, false, false)
	e.nats.Start()
	if !e.nats.ReadyForConnections(30*time.Second) || !e.nats.JetStreamEnabled() {
		return errors.New("broker: the embedded server did not start; the log may say why")
	}
	return nil
}

// stop ends the server. It leaves to the kernel when what it wrote reaches the disk; see marks.close.
func (e *embedded) stop() {
	if e.nats != nil {
		e.nats.Shutdown()
		e.nats.WaitForShutdown()
	}
}

func (e *embedded) unlock() {
	e.lock.Close()
}

// lockFolder holds the folder until the file is closed, which the kernel does at the latest when the process ends.
func lockFolder(dir string) (*os.File, error) {
	name := filepath.Join(dir, lockFile)
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("broker: another process stores in %s; each needs a folder of its own", dir)
		}
		return nil, fmt.Errorf("broker: locking %s: %w", name, err)
	}
	return file, nil
}

// lookAtDisk notes whether there is space left.
func (e *embedded) lookAtDisk(log *limitedLog) {
	var fs syscall.Statfs_t
	if syscall.Statfs(e.dir, &fs) != nil {
		return
	}
	free := fs.Bavail * uint64(fs.Bsize)
	full := free < spaceReserveBytes
	if e.full.Swap(full) != full {
		log.Warn("disk of the store", slog.Bool("full", full), slog.Uint64("free", free))
	}
}
