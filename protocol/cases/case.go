// Package cases is one table of what a WebSocket server must do with what a client sends: every framing,
// fragmentation, text, close and compression rule of RFC 6455 and RFC 7692 as plain data. It is written
// without the code it tests, so that the decoder's test and a test over a socket can both replay it.
//
// To replay a case against an echo server: upgrade (with permessage-deflate and
// client_no_context_takeover if Deflate is set), configure the limits that are not 0, write In in any
// pieces. The server must send back the Messages in order, answer the Pings with Pongs in order, and then,
// if Close is not 0, send a Close with that code and end the connection; otherwise the connection lives on.
package cases

// Event is something that the client's bytes say: a whole message or a control frame.
type Event struct {
	Op      byte   // an opcode constant below; never Continuation
	Payload []byte // message, ping or pong data, or the reason of a Close
	Code    uint16 // the code of a Close; 0 if it has none
	At      int    // so many bytes of In must have arrived for it, and not one more
}

// Opcodes of RFC 6455 section 5.2.
const (
	Continuation = 0
	Text         = 1
	Binary       = 2
	Close        = 8
	Ping         = 9
	Pong         = 10
)

// NoCode is the Close of a case where the server's Close frame must be empty, as the client's was. The number
// is the one that RFC 6455 section 7.4.1 reserves for this and forbids on the wire.
const NoCode = 1005

// Case is one row of the table.
type Case struct {
	Name string
	// In is what the client sends after the upgrade: masked frames, or what goes for them. Do not change it:
	// copy what is to be unmasked in place.
	In []byte
	// Deflate says that permessage-deflate has been negotiated.
	Deflate bool
	// Limits other than the defaults (64 KiB a message, the same a frame, 1,024 fragments); 0 is the default.
	MaxMessage, MaxFrame, MaxFragments int

	// Want is all that In says, in order, up to its end, a Close or a violation.
	Want []Event
	// Close is the code that the server must close with; 0 if it must not.
	Close uint16
	// Label names the violation, as in the metrics; empty if In is well-behaved.
	Label string
	// FailAt is the number of bytes of In after which the violation must be known, and not one later.
	FailAt int
}

// Messages are the messages that an echo server sends back.
func (c *Case) Messages() []Event { return c.only(Text, Binary) }

// Pings are the pings that ask for a pong with the same payload.
func (c *Case) Pings() []Event { return c.only(Ping, Ping) }

func (c *Case) only(a, b byte) (out []Event) {
	for _, e := range c.Want {
		if e.Op == a || e.Op == b {
			out = append(out, e)
		}
	}
	return out
}

// All makes the whole table, the same each time.
func All() []Case {
	var all []Case
	for _, group := range []func() []Case{
		sizes, headers, fragments, limits, texts, closes, compressed, compressedWrong,
	} {
		all = append(all, group()...)
	}
	return all
}
