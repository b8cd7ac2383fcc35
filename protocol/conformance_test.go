package protocol_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"throng/protocol"
	"throng/protocol/cases"
)

// allCases is the table, made once.
var allCases = sync.OnceValue(cases.All)

// heard is what came out of a decoder, in the terms of the cases.
type heard struct {
	events []cases.Event // At: bytes that had been fed in
	failed protocol.Violation
	failAt int
}

// feed gives a decoder a stream in pieces of the sizes that next returns, as an engine does: a buffer that is
// lent for one piece and overwritten afterwards, and Next until there is nothing more.
func feed(t testing.TB, d *protocol.Decoder, cfg *protocol.DecoderConfig, in []byte, next func(left int) int) (h heard) {
	lent := make([]byte, 0, len(in))
	for fed := 0; fed < len(in); {
		n := min(next(len(in)-fed), len(in)-fed)
		piece := append(lent[:0], in[fed:fed+n]...)
		fed += n
		for rest := piece; ; {
			ev, after, ok, err := d.Next(cfg, rest)
			if err != nil && h.failed == 0 {
				h.failed, h.failAt = err.(protocol.Violation), fed
			}
			if !ok {
				if len(after) != 0 {
					t.Fatalf("%d bytes left over", len(after))
				}
				break
			}
			h.events = append(h.events, cases.Event{Op: byte(ev.Op), Payload: bytes.Clone(ev.Payload), Code: ev.Code, At: fed})
			rest = after
		}
		for i := range piece {
			piece[i] = 0xee
		}
	}
	return h
}

func whole(left int) int { return left }

func decoderFor(c *cases.Case) (*protocol.Decoder, *protocol.DecoderConfig) {
	cfg := protocol.DefaultDecoderConfig()
	if c.MaxMessage > 0 {
		cfg.MaxMessage = c.MaxMessage
	}
	if c.MaxFragments > 0 {
		cfg.MaxFragments = c.MaxFragments
	}
	cfg.MaxFrame = c.MaxFrame
	d := new(protocol.Decoder)
	if c.Deflate {
		d.EnableDeflate()
	}
	return d, &cfg
}

// check holds what was heard against the case; exact says that the stream came byte by byte, so that the
// positions are to be compared too.
func check(c *cases.Case, h heard, exact bool) error {
	for i, want := range c.Want {
		if i >= len(h.events) {
			return fmt.Errorf("%d events, want %d; violation %v", len(h.events), len(c.Want), h.failed)
		}
		got := h.events[i]
		if got.Op != want.Op || got.Code != want.Code || !bytes.Equal(got.Payload, want.Payload) {
			return fmt.Errorf("event %d: op %d, code %d, %d bytes %.40q; want op %d, code %d, %d bytes %.40q",
				i, got.Op, got.Code, len(got.Payload), got.Payload, want.Op, want.Code, len(want.Payload), want.Payload)
		}
		if exact && got.At != want.At {
			return fmt.Errorf("event %d came after byte %d, want %d", i, got.At, want.At)
		}
	}
	if len(h.events) > len(c.Want) {
		return fmt.Errorf("%d events, want %d", len(h.events), len(c.Want))
	}
	if h.failed.Label() != c.Label {
		return fmt.Errorf("violation %v (%q), want %q", h.failed, h.failed.Label(), c.Label)
	}
	if c.Label != "" && h.failed.Code() != c.Close {
		return fmt.Errorf("violation %v closes with %d, want %d", h.failed, h.failed.Code(), c.Close)
	}
	if exact && h.failAt != c.FailAt {
		return fmt.Errorf("violation %v known after byte %d, want %d", h.failed, h.failAt, c.FailAt)
	}
	return nil
}

func TestConformance(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	all := allCases()
	t.Logf("%d cases, seed %d", len(all), seed)
	const cutEverywhere, cutFinely = 64, 20_000 // bytes: what is longer takes too long
	seen := map[string]bool{}
	for _, c := range all {
		if seen[c.Name] {
			t.Errorf("two cases named %q", c.Name)
		}
		seen[c.Name] = true
		run := func(how string, exact bool, next func(left int) int) {
			d, cfg := decoderFor(&c)
			if err := check(&c, feed(t, d, cfg, c.In, next), exact); err != nil {
				t.Errorf("%s, %s: %v (seed %d)", c.Name, how, err, seed)
			}
			if over := c.Close != 0; over && d.Pending() != 0 {
				t.Errorf("%s, %s: %d bytes still lent after the end", c.Name, how, d.Pending())
			} else if !over && d.Pending() != 0 {
				t.Errorf("%s, %s: %d bytes still lent between messages", c.Name, how, d.Pending())
			}
		}
		run("whole", false, whole)
		run("byte by byte", true, func(int) int { return 1 })
		run("large random pieces", false, func(left int) int { return 1 + random.IntN(left) })
		if len(c.In) <= cutFinely {
			run("small random pieces", false, func(int) int { return 1 + random.IntN(20) })
		}
		if len(c.In) > cutEverywhere {
			continue
		}
		for cut := 1; cut < len(c.In); cut++ {
			first := true
			run(fmt.Sprintf("cut at %d", cut), false, func(left int) int {
				if first {
					first = false
					return cut
				}
				return left
			})
		}
	}
}
