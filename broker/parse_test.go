package broker

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func TestParseAck(t *testing.T) {
	for text, want := range map[string]Ack{
		`{"stream":"throng-main","seq":12}`:                                  {12, false},
		`{"stream":"throng-main", "seq":12}`:                                 {12, false},
		`{"stream":"throng-main","seq":12,"duplicate": true}`:                {12, true},
		`{"stream":"throng-main","seq":12,"duplicate":true}`:                 {12, true},
		`{"stream":"throng-main","domain":"hub","seq":12}`:                   {12, false},
		`{"stream":"a\"b","seq":18446744073709551615}`:                       {1<<64 - 1, false},
		`{"seq":12,"stream":"throng-main","val":"1","batch":"x","count":10}`: {12, false},
	} {
		if got, err := parseAck([]byte(text)); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	full := `{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"},"stream":"throng-main","seq":0}`
	for text, want := range map[string]error{
		full: ErrStoreFull,
		strings.Replace(full, "bytes", "messages", 1):              ErrStoreFull,
		strings.Replace(full, "maximum bytes exceeded", "disk", 1): ErrUnavailable,
		`{"error":{"code":500,"err_code":10047}}`:                  ErrStoreFull,
		`{"error":{"code":400,"err_code":10054}}`:                  ErrTooBig,
		`{"error":{"code":429,"err_code":10167}}`:                  ErrBusy,
		`{"error":{"code":503,"err_code":1}}`:                      ErrUnavailable,
		`{"error":{"code":404,"err_code":10059}}`:                  ErrUnavailable,
		`{"error":{"code":409,"err_code":10158}}`:                  ErrUnavailable,
	} {
		if _, err := parseAck([]byte(text)); !errors.Is(err, want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{"", "{", "{}", `{"stream":"x","seq":0}`, `{"stream":"x","seq":-1}`, `{"stream":"x","seq":012}`, `{"stream":"x","seq":1}}`,
		`{"stream":"x","seq":18446744073709551616}`, `{"error":{"code":400,"err_code":10071,"description":"wrong last sequence"}}`} {
		_, err := parseAck([]byte(text))
		if err == nil || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrStoreFull) {
			t.Errorf("%s: %v", text, err)
		}
	}
	plain := []byte(`{"stream":"throng-main","seq":123456}`)
	if n := testing.AllocsPerRun(100, func() { _, _ = parseAck(plain) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzAck: the parser by hand says what encoding/json says, or leaves it to it.
func FuzzAck(f *testing.F) {
	for _, text := range []string{`{"stream":"a","seq":1}`, `{"stream":"a", "seq":9,"duplicate": true}`, `{"stream":"a","seq":01}`, `{"stream":"a","seq":1e3}`,
		`{"stream":"","seq":999999999999999999}`, `{"error":{"code":503}}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		byHand, ok := plainAck(data)
		if !ok {
			_, _ = parseAck(data)
			return
		}
		if any, err := parseAnyAck(data); err != nil || any != byHand {
			t.Fatalf("%q: %v by hand, %v (%v) by encoding/json", data, byHand, any, err)
		}
	})
}

func TestRoomTokens(t *testing.T) {
	for room, token := range map[string]string{
		"tea": "tea", "a_b~c:d.e-f": "a_b=7Ec=3Ad=2Ee-f", "@bob": "=40bob", "聊": "=E8=81=8A", " *>": "=20=2A=3E", "=": "=3D", "\x00": "=00",
	} {
		if got := string(appendToken(nil, room)); got != token {
			t.Errorf("%q is %q, not %q", room, got, token)
		}
		if got, ok := roomOf(token); !ok || got != room {
			t.Errorf("%q is the room %q, %t", token, got, ok)
		}
	}
	for _, token := range []string{"", "=", "=4", "=4g", "=2e", "=41", "a.b", "a b", "*", ">", "tea=", "é"} {
		if room, ok := roomOf(token); ok {
			t.Errorf("%q is the room %q", token, room)
		}
	}
}

// FuzzRoomToken: a room's token is one token of a subject, and stands for that room; a token that stands for a room is that room's.
func FuzzRoomToken(f *testing.F) {
	for _, text := range []string{"tea", "a.b", "=41", "=2E", "@bob", "聊天", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		token := string(appendToken(nil, text))
		if strings.ContainsAny(token, ". *>\t\r\n") {
			t.Fatalf("%q is %q", text, token)
		}
		if room, ok := roomOf(token); text != "" && (!ok || room != text) {
			t.Fatalf("%q came back as %q, %t", text, room, ok)
		}
		if room, ok := roomOf(text); ok && string(appendToken(nil, room)) != text {
			t.Fatalf("%q is the room %q, whose token is %q", text, room, appendToken(nil, room))
		}
	})
}

// FuzzNodeMessage: what another node says cannot do harm, whatever it is.
func FuzzNodeMessage(f *testing.F) {
	f.Add([]byte("\x03bobdata"))
	f.Add([]byte{0})
	f.Add([]byte{200, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		node, rest, ok := speaker(data)
		if ok && (node == "" || len(node) > nameBytesMax || 1+len(node)+len(rest) != len(data)) {
			t.Fatalf("%q: %q, %q", data, node, rest)
		}
	})
}

// TestPendingModel holds the slots against a plain map.
func TestPendingModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	p := newPending()
	type promise struct {
		due    time.Duration
		called *int
		bytes  int
	}
	model := map[uint64]promise{}
	var old []uint64
	now := time.Duration(0)
	for range 20_000 {
		now += time.Duration(random.IntN(3))
		switch random.IntN(5) {
		case 0, 1:
			calls, bytes := new(int), random.IntN(100)
			token, ok := p.put(awaited{done: func(Ack, error) { *calls++ }, record: []byte("12345")[:bytes%6]}, bytes, now+50)
			if _, twice := model[token]; !ok || twice {
				t.Fatal(token, ok)
			}
			model[token] = promise{now + 50, calls, bytes}
			old = append(old, token)
		case 2, 3:
			if len(old) == 0 {
				continue
			}
			token := old[random.IntN(len(old))]
			done := p.take(token).done
			if w, there := model[token]; there != (done != nil) {
				t.Fatalf("token %d: %t", token, there)
			} else if there {
				done(Ack{}, nil)
				if *w.called != 1 {
					t.Fatal("another's")
				}
				delete(model, token)
			}
		default:
			for _, done := range p.overdue(now) {
				done(Ack{}, ErrTimeout)
			}
			for token, w := range model {
				if late := w.due <= now; late != (*w.called == 1) {
					t.Fatalf("due at %d, now %d, called %d", w.due, now, *w.called)
				} else if late {
					delete(model, token)
				}
			}
		}
		bytes := 0
		for _, w := range model {
			bytes += w.bytes
		}
		if n, b := p.size(); n != len(model) || b != bytes {
			t.Fatalf("%d of %d bytes, not %d of %d", n, b, len(model), bytes)
		}
	}
	if n := len(p.end()); n != len(model) {
		t.Fatal(n)
	}
	if _, ok := p.put(awaited{}, 1, now); ok {
		t.Fatal("it takes more after the end")
	}
}

func TestPendingBounds(t *testing.T) {
	p := newPending()
	if _, ok := p.put(awaited{}, pendingBytesMax, 0); !ok {
		t.Fatal("refused")
	}
	if _, ok := p.put(awaited{}, 1, 0); ok {
		t.Fatal("too many bytes")
	}
	p = newPending()
	for range pendingMessagesMax {
		p.put(awaited{}, 0, 0)
	}
	if _, ok := p.put(awaited{}, 0, 0); ok {
		t.Fatal("too many messages")
	}
}
