package envelope_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"throng/protocol/envelope"
)

// sentences are texts of n bytes in ASCII, and with a character to escape or beyond ASCII now and then.
func sentences(n int) map[string]string {
	return map[string]string{
		"ascii":   strings.Repeat("Hello, world. ", n/14+1)[:n],
		"mixed":   strings.Repeat("Grüße aus Köln. ", n/19+1)[:n/19*19],
		"escapes": strings.Repeat("Said \"yes\",\n", n/12+1)[:n/12*12],
	}
}

// quoted is a text as a client writes it.
func quoted(text string) string { return strings.NewReplacer(`"`, `\"`, "\n", `\n`).Replace(text) }

func BenchmarkParse(b *testing.B) {
	for _, n := range []int{100, 1000} {
		for name, text := range sentences(n) {
			b.Run(fmt.Sprintf("publish/%s/%d", name, n), func(b *testing.B) {
				parse(b, `{"type":"publish","id":123,"room":"tea","key":"5ad7a1f2-0012","text":"`+quoted(text)+`"}`)
			})
		}
	}
	b.Run("publish/json/100", func(b *testing.B) {
		parse(b, `{"type":"publish","id":123,"room":"tea","key":"5ad7a1f2-0012","json":{"kind":"move","from":[12,7],"to":[3.25,-8],"by":"ann","tags":["a","b"],"n":1,"at":1790000000000}}`)
	})
	b.Run("ping", func(b *testing.B) { parse(b, `{"type":"ping","id":123}`) })
}

func parse(b *testing.B, text string) {
	data := []byte(text)
	var r envelope.Request
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if err := r.Parse(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRecord(b *testing.B) {
	for name, text := range sentences(100) {
		r := record("5ad7a1f2-0012", envelope.Text, text)
		r.Time = 1790000000000
		stored := envelope.AppendRecord(nil, &r)
		var buf []byte
		b.Run("append/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				buf = envelope.AppendRecord(buf[:0], &r)
			}
		})
		b.Run("parse/"+name, func(b *testing.B) {
			b.ReportAllocs()
			var r envelope.Record
			for b.Loop() {
				if err := r.Parse(stored); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("message/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				buf = envelope.AppendMessage(buf[:0], "tea", 123456, 123450, stored)
			}
		})
	}
}

// TestAllocations: what happens for every message takes no memory, once the buffers have their size.
func TestAllocations(t *testing.T) {
	var texts [][]byte
	for _, test := range goodRequests {
		if len(test.text) < 300 {
			texts = append(texts, []byte(test.text))
		}
	}
	var r envelope.Request
	var read envelope.Record
	var buf, out []byte
	var stored [][]byte
	for _, test := range records {
		stored = append(stored, envelope.AppendRecord(nil, &test.record))
	}
	people := []envelope.Person{ann, bob}
	history := []envelope.Stored{{Seq: 9, Record: stored[0]}, {Seq: 12, Prev: 9, Record: stored[1]}}
	refused := envelope.Errorf(envelope.Rate, "too fast")
	id, room := []byte("1"), []byte("tea")
	for name, run := range map[string]func(){
		"Request.Parse": func() {
			for _, text := range texts {
				if err := r.Parse(text); err != nil {
					t.Error(err)
				}
			}
		},
		"AppendRecord": func() {
			for i := range records {
				if records[i].name != "what is not UTF-8" {
					buf = envelope.AppendRecord(buf[:0], &records[i].record)
				}
			}
		},
		"Record.Parse": func() {
			for _, text := range stored {
				if err := read.Parse(text); err != nil {
					t.Error(err)
				}
				buf, _ = read.AppendRaw(buf[:0])
			}
		},
		"messages": func() {
			for _, text := range stored {
				out = envelope.AppendMessage(out[:0], "tea", 12, 9, text)
				out = envelope.AppendEphemeral(out[:0], "tea", text)
				out = envelope.AppendSignal(out[:0], "tea", text)
			}
		},
		"answers": func() {
			out = envelope.AppendOK(out[:0], id, "tea")
			out = envelope.AppendPublished(out[:0], id, "tea", 12, false)
			out = envelope.AppendJoined(out[:0], id, &envelope.Joined{Room: "tea", Recorded: true, Epoch: "e", Name: "Ann"})
			out = envelope.AppendHistory(out[:0], id, "tea", "e", history, true)
			out = envelope.AppendMembers(out[:0], id, "tea", 2, people, true)
			out = envelope.AppendPong(out[:0], id, 5)
			out = envelope.AppendAuthed(out[:0], id, "u", "n", 5)
			out = envelope.AppendError(out[:0], id, room, room, refused)
			out = envelope.AppendGap(out[:0], "tea", &envelope.Gap{Epoch: "e", To: 3})
			out = envelope.AppendPresence(out[:0], "tea", &envelope.Presence{Count: 2, Joined: people})
			out = envelope.AppendBye(out[:0], &envelope.Bye{Code: 1001, Reason: "restart", In: time.Second})
			out = envelope.AppendWelcome(out[:0], &envelope.Welcome{User: "u", Name: "n"})
		},
	} {
		run()
		if n := testing.AllocsPerRun(50, run); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}
