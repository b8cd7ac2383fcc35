package engine

import (
	"sync"

	"throng/protocol"
)

// Form is what a connection wants to have of a message. It is fixed when the
// connection is upgraded.
type Form uint8

// The forms, from 0 to Forms-1.
const (
	Raw       Form = iota // what was said, and nothing else
	Enveloped             // that, in whatever its publisher wraps around it

	Forms = 2
)

// Content is a message in one form. An Op of 0 is none: those who want that form
// get nothing.
type Content struct {
	Op   protocol.Opcode
	Data []byte
}

// Contents is a message in every form.
type Contents [Forms]Content

// outfit is what a message wears on its way to a connection: a form and, over it,
// an encoding. Whoever wants the same outfit gets the same bytes.
//
//	          plain   deflated   deflated small
//	raw         0         1            2
//	enveloped   3         4            5
type outfit uint8

const outfits = Forms * protocol.Encodings

func outfitOf(f Form, e protocol.Encoding) outfit { return outfit(f)*protocol.Encodings + outfit(e) }

func (o outfit) form() Form { return Form(o / protocol.Encodings) }

func (o outfit) encoding() protocol.Encoding { return protocol.Encoding(o % protocol.Encodings) }

// plain is the outfit of the same form that everybody understands who wants it.
func (o outfit) plain() outfit { return o - o%protocol.Encodings }

// encoded is one message framed in each outfit that somebody wants.
type encoded struct {
	frames  [outfits][]byte
	scratch [outfits][]byte // what frames are built in; reused
}

// encodedPool serves publishers that are not on a loop; a loop has its own.
var encodedPool = sync.Pool{New: func() any { return new(encoded) }}

// plain frames a message in one form as it is.
func (enc *encoded) plain(f Form, c *Content) {
	o := outfitOf(f, protocol.Plain)
	enc.scratch[o] = protocol.AppendFrame(enc.scratch[o][:0], c.Op, c.Data)
	enc.frames[o] = enc.scratch[o]
}

// deflated frames a message in one form with an encoding, if that makes it smaller.
func (enc *encoded) deflated(o outfit, c *Content) {
	frame, smaller := protocol.AppendDeflated(enc.scratch[o][:0], c.Op, c.Data, o.encoding())
	enc.scratch[o] = frame[:0]
	if smaller {
		enc.frames[o] = frame
	}
}

// encode frames a message once for each outfit in use. A message that is short or
// does not shrink goes out plain everywhere.
func (t *Topic) encode(enc *encoded, what *Contents) {
	cfg := &t.engine.cfg
	enc.frames = [outfits][]byte{}
	for f := range Form(Forms) {
		c := &what[f]
		if c.Op == 0 || !t.wanted(f) {
			continue
		}
		enc.plain(f, c)
		if !cfg.Compress || len(c.Data) < cfg.CompressAbove {
			continue
		}
		for e := protocol.Plain + 1; e < protocol.Encodings; e++ {
			if o := outfitOf(f, e); t.worn[o].Load() > 0 {
				enc.deflated(o, c)
			}
		}
	}
}

// encodeLate frames a message in a form that nobody wanted when it was encoded, and
// somebody does now. The topic's lock is held.
func (t *Topic) encodeLate(enc *encoded, what *Contents) {
	for f := range Form(Forms) {
		if c := &what[f]; c.Op != 0 && len(enc.frames[outfitOf(f, protocol.Plain)]) == 0 && t.wanted(f) {
			enc.plain(f, c)
		}
	}
}

// wanted reports whether anybody subscribed wants a form.
func (t *Topic) wanted(f Form) bool {
	for e := range protocol.Encoding(protocol.Encodings) {
		if t.worn[outfitOf(f, e)].Load() > 0 {
			return true
		}
	}
	return false
}

// everyForm is a message that is the same in every form.
func everyForm(op protocol.Opcode, data []byte) (what Contents) {
	for f := range what {
		what[f] = Content{op, data}
	}
	return what
}

// SetForm says what form the connection wants messages in; without it, Raw. Only in
// OnUpgrade. Loop-owned.
func (c *Conn) SetForm(f Form) {
	c.loop.assertInTurn()
	if c.state != stateHead || f >= Forms {
		panic("engine: a form is one of those there are, and is chosen in OnUpgrade")
	}
	c.outfit = outfitOf(f, protocol.Plain)
}

// Form returns what form the connection wants messages in. Loop-owned.
func (c *Conn) Form() Form { return c.outfit.form() }
