package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// The mark is a small file beside the store: how the last run ended, and how far each stream was. From it the next start tells whether numbers that
// clients have seen may be given to other messages; if so the stream gets a new epoch, and clients forget theirs.

const (
	markFile   = "throng.mark"
	bootIDFile = "/proc/sys/kernel/random/boot_id"
)

type markContent struct {
	Boot    string                `json:"boot"`  // the run of the machine's kernel: what only the page cache had is lost with it
	Clean   bool                  `json:"clean"` // the run was ended with everything on the disk
	Always  bool                  `json:"always"`
	Streams map[string]markStream `json:"streams"`
}

type markStream struct {
	Epoch string `json:"epoch"`
	Last  uint64 `json:"last"`
}

type marks struct {
	dir      string // "": nothing is kept
	embedded bool
	boot     string
	always   bool

	found  bool // there was a mark of a run before
	before markContent

	mu  sync.Mutex
	now markContent
}

// openMarks reads the mark of the run before. Its own is written when the streams are known.
func openMarks(cfg Config) (*marks, error) {
	m := &marks{dir: cfg.Dir, embedded: len(cfg.URLs) == 0, always: cfg.Sync == 0}
	if m.dir == "" {
		return m, nil
	}
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	boot, err := os.ReadFile(bootIDFile)
	if err == nil {
		m.boot = strings.TrimSpace(string(boot))
	}
	text, err := os.ReadFile(filepath.Join(m.dir, markFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return m, nil
	case err != nil:
		return nil, fmt.Errorf("broker: %w", err)
	}
	m.found = json.Unmarshal(text, &m.before) == nil // one that cannot be read is none
	if m.embedded && m.always {
		// What an earlier run left in the page cache is made as safe as what this one stores.
		if err := syncFolder(m.dir); err != nil {
			return nil, fmt.Errorf("broker: %w", err)
		}
	}
	return m, nil
}

// lostPossible reports whether the run before may have lost what it had acknowledged.
func (m *marks) lostPossible() bool {
	switch {
	case !m.embedded:
		return false // the servers elsewhere keep marks of their own; see setBack
	case !m.found:
		return true
	case m.before.Clean, m.before.Always:
		return false
	}
	return m.boot == "" || m.before.Boot != m.boot
}

// setBack reports whether a stream of that epoch ends before what was seen of it.
func (m *marks) setBack(name, epoch string, last uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, known := range []markStream{m.before.Streams[name], m.now.Streams[name]} {
		if known.Epoch == epoch && last < known.Last {
			return true
		}
	}
	return false
}

// keep writes how far the streams are, if it has changed.
func (m *marks) keep(streams map[string]markStream) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.now.Streams != nil && maps.Equal(m.now.Streams, streams) {
		return nil
	}
	m.now = markContent{Boot: m.boot, Always: m.always, Streams: streams}
	return m.write()
}

// close says that the run ended well. It is called when the server has stopped: all it wrote is brought to the disk first.
func (m *marks) close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dir == "" || m.now.Streams == nil {
		return nil
	}
	if m.embedded {
		if err := syncFolder(m.dir); err != nil {
			return fmt.Errorf("broker: %w", err)
		}
	}
	m.now.Clean = true
	return m.write()
}

// write replaces the file in one step. m.mu is held.
func (m *marks) write() error {
	if m.dir == "" {
		return nil
	}
	text, err := json.Marshal(m.now)
	if err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	name := filepath.Join(m.dir, markFile)
	if err := writeSynced(name+".new", append(text, '\n')); err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	folder, err := os.Open(m.dir)
	if err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	defer folder.Close()
	return folder.Sync()
}

func writeSynced(name string, text []byte) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Sync(), file.Close())
}

// syncFolder brings every file below a folder to the disk, and no other program's.
func syncFolder(dir string) error {
	return filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !entry.Type().IsRegular() && !entry.IsDir() {
			return nil
		}
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		return errors.Join(file.Sync(), file.Close())
	})
}
