package bench

import (
	"bytes"
	"encoding/base64"
	"strconv"
	"strings"
)

// An envelope is what stands around a payload when a server wants more than bytes: a prefix and a suffix, and with
// Text a payload that is printable. A marker shows where the payload begins, so that a server may wrap what it hands
// out otherwise than what it took:
//
//	binary:  prefix  marker  stamp (28 bytes)                 filler  suffix
//	text:    prefix  marker  stamp in base64url (38 letters)  filler  suffix
type envelope struct {
	prefix, suffix string
	named          bool   // the room's name and rest follow the prefix
	rest           string // of the prefix
	ack            []byte // what an acknowledgement holds
	text           bool
	inner          int // bytes of a payload without marker and base64: what the checker knows
	plain          []byte
}

const (
	marker         = "~throng~"
	stampTextBytes = 38 // 28 bytes in base64url without padding
)

var stampText = base64.RawURLEncoding

// PayloadBytesMin is the shortest payload that carries what is checked, with an envelope and with text.
const (
	PayloadBytesMin         = 28
	payloadBytesMinEnvelope = PayloadBytesMin + len(marker)
	payloadBytesMinText     = stampTextBytes + len(marker)
)

func (h *hooks) wrapped() bool { return h.Text || h.Prefix != "" || h.Suffix != "" }

// payloadMin is the shortest payload with these hooks.
func (h *hooks) payloadMin() int {
	switch {
	case h.Text:
		return payloadBytesMinText
	case h.wrapped():
		return payloadBytesMinEnvelope
	}
	return PayloadBytesMin
}

func newEnvelope(s *spec) *envelope {
	h := &s.Hooks
	if !h.wrapped() {
		return nil
	}
	e := &envelope{suffix: h.Suffix, ack: []byte(h.Ack), text: h.Text, inner: s.Payload - h.payloadMin() + PayloadBytesMin}
	e.prefix, e.rest, e.named = strings.Cut(h.Prefix, roomWord)
	return e
}

func (e *envelope) appendTo(b []byte, k *checker, s stamp) []byte {
	e.plain = k.appendPayload(e.plain[:0], s)
	b = append(b, e.prefix...)
	if e.named {
		b = append(strconv.AppendUint(append(b, 'e'), uint64(s.room), 10), e.rest...)
	}
	b = append(b, marker...)
	if e.text {
		b = stampText.AppendEncode(b, e.plain[:PayloadBytesMin])
		b = append(b, e.plain[PayloadBytesMin:]...)
	} else {
		b = append(b, e.plain...)
	}
	return append(b, e.suffix...)
}

// open finds the payload in a message and makes it plain; nil when there is none, which is counted.
func (e *envelope) open(p []byte, k *checker) []byte {
	at := bytes.Index(p, []byte(marker))
	if at < 0 {
		if len(e.ack) > 0 && bytes.Contains(p, e.ack) {
			k.acks++
		} else {
			k.foreign++
		}
		return nil
	}
	p = p[at+len(marker):]
	if !e.text {
		if len(p) < e.inner {
			k.faults.Corrupt++
			return nil
		}
		return p[:e.inner]
	}
	fill := e.inner - PayloadBytesMin
	if len(p) < stampTextBytes+fill {
		k.faults.Corrupt++
		return nil
	}
	var err error
	if e.plain, err = stampText.AppendDecode(e.plain[:0], p[:stampTextBytes]); err != nil {
		k.faults.Corrupt++
		return nil
	}
	e.plain = append(e.plain, p[stampTextBytes:stampTextBytes+fill]...)
	return e.plain
}
