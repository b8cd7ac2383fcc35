package report

import (
	"bytes"
	"encoding/json"
	"io"
	"reflect"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	const one = `{"format":1,"scenario":"idle","client_cpu":0.5}`
	for text, want := range map[string]int{
		one:                                 1,
		one + one + "\n\n" + one:            3,
		"[" + one + "," + one + "]\n" + one: 3,
		" \n[" + one + "]":                  1,
		`{"format":1,"something":"newer"}`:  1,
		`{"format":1,"flood":{"format":1}}`: 1,
	} {
		got, err := Read(strings.NewReader(text))
		if err != nil || len(got) != want {
			t.Errorf("%s: %d results, %v", text, len(got), err)
		}
	}
	for text, want := range map[string]string{
		"":                                       "no result in it",
		" \n":                                    "no result in it",
		"[]":                                     "no result in it",
		"deliveries 5":                           "not JSON after byte 0",
		one + "\n{":                              "not JSON after byte 47",
		`{"a":1}`:                                "result 1: no result of a run",
		one + `7`:                                "result 2: no result of a run",
		`null`:                                   "result 1: no result of a run",
		`[null]`:                                 "result 1: no result of a run",
		`{"format":2,"scenario":{}}`:             "result 1: its format is 2 and this program reads 1",
		`{"format":1,"conns":"many"}`:            "result 1: not a result of format 1",
		`{"format":1,"flood":{"flood":{}}}`:      "a flooded room within a flooded room",
		`[` + one + `,{"format":0,"conns":"x"}]`: "result 2: its format is 0",
	} {
		if got, err := Read(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %d results, error %v, want %q", text, len(got), err, want)
		}
	}
}

// TestReadBack: what a result is written as is what is read.
func TestReadBack(t *testing.T) {
	for name, want := range map[string]*Result{"broadcast": sampleBroadcast(1), "storm": sampleStorm()} {
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Read(bytes.NewReader(text))
		if err != nil || len(got) != 1 || !reflect.DeepEqual(got[0], want) {
			t.Errorf("%s came back as something else (%v)", name, err)
		}
	}
}

// FuzzRead: whatever a file holds, reading it and showing what was read does not panic, and a comparison with itself
// finds nothing.
func FuzzRead(f *testing.F) {
	for _, r := range []*Result{sampleStorm(), sampleClosed()} {
		// Small ones: a fuzzer gets on faster.
		r.Samples, r.Flood = r.Samples[:6], nil
		for _, s := range []*Spread{r.Latency, r.Raw, r.Connect} {
			if s != nil {
				s.Curve = s.Curve[:3]
			}
		}
		r.Storm, r.Evicted = nil, nil
		text, err := json.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`[{"format":1,"samples":[{"at":1e308,"seconds":-1e308,"p99":1e-300,"deliveries":1e300},{"at":-1e308,"deliveries":-5}]}]`))
	f.Add([]byte(`{"format":1,"latency":{"p50":-1,"count":-5,"curve":[{"p":101,"v":1e308},{"p":-1e300,"v":-3}]},"storm":{"back":{"max":1e308}},"conns":-7}`))
	f.Add([]byte(`{"format":1,"per_second":1e308,"evicted":{},"slow":{},"drift":{"p99_us_per_hour":-1e308},"memory":{"pss":-0.0001}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		all, err := Read(bytes.NewReader(text))
		if err != nil {
			return
		}
		for _, r := range all {
			if err := r.WriteText(io.Discard); err != nil {
				t.Error(err)
			}
		}
		if err := WriteHTML(io.Discard, all...); err != nil {
			t.Error(err)
		}
		c, err := Compare(all, all)
		if err != nil {
			return
		}
		expectNoDifference(t, c)
		if _, err := json.Marshal(c); err != nil {
			t.Error(err)
		}
	})
}
