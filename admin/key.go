package admin

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"unicode"
)

const (
	// keyBytesMin is what 128 bits take at least; whoever writes them as text has more.
	keyBytesMin = 16
	// keyBytesMax keeps a file that is no key, named by mistake, out of memory and headers.
	keyBytesMax = 1 << 10
)

// ReadKey reads the key of a private server from a file. The file must belong to its reader alone: a key that others can read
// is none. The line's end behind it is no part of it.
func ReadKey(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	switch mode := info.Mode(); {
	case !mode.IsRegular():
		return "", fmt.Errorf("%s is not a plain file", path)
	case mode.Perm()&0o077 != 0 && !isCredential(path):
		return "", fmt.Errorf("%s can be read by others than its owner (mode %04o); change that with chmod 600 %s, and the key too if they may have read it", path, mode.Perm(), path)
	}
	text, err := io.ReadAll(io.LimitReader(file, keyBytesMax+1))
	if err != nil {
		return "", err
	}
	return checkKey(path, text)
}

// isCredential reports whether systemd keeps the file for this service (see systemd.exec(5), LoadCredential=). Nobody else gets
// into the folder, and what looks like rights of the group there is the mask of an access list.
func isCredential(path string) bool {
	folder := os.Getenv("CREDENTIALS_DIRECTORY")
	return folder != "" && filepath.Dir(filepath.Clean(path)) == filepath.Clean(folder)
}

func checkKey(path string, text []byte) (string, error) {
	text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
	switch {
	case len(text) < keyBytesMin:
		return "", fmt.Errorf("%s holds a key of %d bytes; allowed: at least %d, such as the output of head -c 24 /dev/urandom | base64", path, len(text), keyBytesMin)
	case len(text) > keyBytesMax:
		return "", fmt.Errorf("%s is longer than %d bytes: not a key", path, keyBytesMax)
	case bytes.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsPrint(r) || r == ' ' }):
		return "", fmt.Errorf("%s holds more than one word of ASCII; a key is sent in a header, so it is one line without spaces", path)
	}
	return string(text), nil
}

// keyhole is what keys are tried on: the key's hash, so that comparing takes as long whatever is tried.
type keyhole struct {
	sum atomic.Pointer[[sha256.Size]byte]
}

// set puts another key in place; "" is none.
func (k *keyhole) set(key string) {
	if key == "" {
		k.sum.Store(nil)
		return
	}
	sum := sha256.Sum256([]byte(key))
	k.sum.Store(&sum)
}

// has reports whether there is a key.
func (k *keyhole) has() bool { return k.sum.Load() != nil }

// fits reports whether it is the key.
func (k *keyhole) fits(key string) bool {
	want := k.sum.Load()
	if want == nil {
		return false
	}
	got := sha256.Sum256([]byte(key))
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1
}
