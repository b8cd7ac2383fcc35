package chat

import (
	"fmt"
	"testing"

	"github.com/gorilla/websocket"

	"throng/protocol/envelope"
)

// crowds are the rooms that messages are told to.
var crowds = []struct {
	name           string
	enveloped, raw int
}{{"nobody", 0, 0}, {"throng.v1", 1, 0}, {"raw", 0, 1}, {"both", 1, 1}}

// toldTo is a room in which some are, who read whatever comes, and its policy's stream.
func toldTo(t testing.TB, enveloped, raw int) (r *rig, stream int) {
	r = newRig(t, true, nil)
	for range enveloped {
		k, _ := r.talker("Ann", "")
		k.ok("join", `"room":"tea"`)
		go readAll(k.ws)
	}
	for range raw {
		go readAll(r.raw("tea"))
	}
	if enveloped+raw == 0 {
		k, _ := r.talker("Ann", "")
		k.ok("join", `"room":"tea"`)
		k.ok("leave", `"room":"tea"`)
	}
	return r, r.server.rooms.find("tea").policy.stream
}

func readAll(ws *websocket.Conn) {
	for {
		if _, _, err := ws.NextReader(); err != nil {
			return
		}
	}
}

func aRecord() []byte {
	return envelope.AppendRecord(nil, &envelope.Record{Time: 1_800_000_000_000, User: []byte("~5hq3kz7w2mtd4xva"), Name: []byte("Ann"),
		Body: envelope.Body{Kind: envelope.Text, Bytes: []byte("Anybody for a cup?")}})
}

// BenchmarkStored is what the store's goroutine does for a message that it hands on.
func BenchmarkStored(b *testing.B) {
	for _, crowd := range crowds {
		b.Run(crowd.name, func(b *testing.B) {
			r, stream := toldTo(b, crowd.enveloped, crowd.raw)
			text, seq := aRecord(), uint64(1<<20)
			b.ReportAllocs()
			for b.Loop() {
				r.server.Stored(stream, "tea", seq, seq, text)
				seq++
			}
		})
	}
}

// A message that is handed on takes memory for what is kept of it, and for nothing else: chunks, of which each holds a hundred.
func TestStoredAllocates(t *testing.T) {
	r, stream := toldTo(t, 0, 0)
	text, seq := aRecord(), uint64(1<<20)
	if n := testing.AllocsPerRun(2000, func() {
		r.server.Stored(stream, "tea", seq, seq, text)
		seq++
	}); n > 0 {
		t.Errorf("%v allocations a message", n)
	}
}

// BenchmarkPublish is a publish of throng.v1 from the socket to its answer, many on their way at once; the store is one that does nothing.
func BenchmarkPublish(b *testing.B) {
	r, _ := toldTo(b, 1, 0)
	k, _ := r.talker("Bob", "")
	request := []byte(`{"type":"publish","id":1,"room":"tea","key":"b1f0-1","text":"Anybody for a cup?"}`)
	const atOnce = 128
	answers := make(chan struct{}, atOnce)
	go func() {
		defer close(answers)
		for {
			if _, _, err := k.ws.NextReader(); err != nil {
				return
			}
			answers <- struct{}{}
		}
	}()
	sent := 0
	b.ReportAllocs()
	for b.Loop() {
		if sent++; sent > atOnce {
			<-answers
		}
		request = fmt.Appendf(request[:0], `{"type":"publish","id":1,"room":"tea","key":"%d","text":"Anybody for a cup?"}`, sent)
		if err := k.ws.WriteMessage(websocket.TextMessage, request); err != nil {
			b.Fatal(err)
		}
	}
}
