package bench

import "errors"

var (
	errMessageLength = errors.New("fragmented message longer than the bench takes (64 KiB)")
	errFragmentOrder = errors.New("fragment out of order")
)

// assemble takes a fragment (RFC 6455, 5.4), and gives the message with the head of a whole one when it was the last.
// The message is lent until the connection's next fragment.
func (w *worker) assemble(c *conn, f frame) (head byte, message []byte, err error) {
	x := w.extra(c)
	begins := f.head&opcodeMask != 0
	if begins == (x.head != 0) {
		return 0, nil, errFragmentOrder
	}
	if begins {
		x.head, x.part = f.head|bitFin, x.part[:0]
	}
	if x.part = append(x.part, f.payload...); len(x.part) > frameBytesMax {
		return 0, nil, errMessageLength
	}
	if f.head&bitFin == 0 {
		return 0, nil, nil
	}
	head, x.head = x.head, 0
	if message = x.part; message == nil {
		message = []byte{}
	}
	return head, message, nil
}
