package engine

import (
	"errors"
	"strconv"
	"strings"

	"throng/timeouts"
)

// ID names a connection from its accept to its end, and after it in what is kept
// of ends. It says where the connection is to be found, and tells it from those that
// had the same place before:
//
//	loop 10 bits │ slot 26 bits │ stamp 12 bits │ serial 16 bits
//
// Stamp and serial are those of the connection's accept. Two connections of the same
// place have the same ID once in some hundred million times.
type ID uint64

const (
	idTailBits = 28 // stamp and serial
	idSlotBits = 26
)

// ID returns the connection's name, until OnClose is called. Loop-owned.
func (c *Conn) ID() ID {
	return ID(c.loop.index)<<(idSlotBits+idTailBits) | ID(c.timer)<<idTailBits | ID(c.accepted&(1<<12-1))<<16 | ID(c.serial)
}

func (id ID) loop() int { return int(id >> (idSlotBits + idTailBits)) }

func (id ID) slot() timeouts.ID { return timeouts.ID(id>>idTailBits) & (1<<idSlotBits - 1) }

// String writes the ID as it is given to people: loop, slot, and the rest in base 36.
func (id ID) String() string {
	return strconv.Itoa(id.loop()) + "-" + id.slot().String() + "-" + strconv.FormatUint(uint64(id)&(1<<idTailBits-1), 36)
}

var errBadID = errors.New("engine: an ID of a connection looks like 0-17-4fz2k; take it from the list of connections")

// ParseID reads what String wrote.
func ParseID(s string) (ID, error) {
	parts := strings.Split(s, "-")
	if len(parts) != 3 {
		return 0, errBadID
	}
	loop, err1 := strconv.ParseUint(parts[0], 10, 10)
	slot, err2 := strconv.ParseUint(parts[1], 10, idSlotBits)
	tail, err3 := strconv.ParseUint(parts[2], 36, idTailBits)
	if err := errors.Join(err1, err2, err3); err != nil {
		return 0, errBadID
	}
	return ID(loop)<<(idSlotBits+idTailBits) | ID(slot)<<idTailBits | ID(tail), nil
}

// MarshalText writes the ID as String does: a number would not survive JSON.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads the ID as ParseID does.
func (id *ID) UnmarshalText(text []byte) (err error) {
	*id, err = ParseID(string(text))
	return err
}

// find returns the connection that an ID names, or nil if it is gone. Loop-owned.
func (l *loop) find(id ID) *Conn {
	if slot := int(id.slot()); slot < len(l.conns) {
		if c := l.conns[slot]; c != nil && c.ID() == id {
			return c
		}
	}
	return nil
}
