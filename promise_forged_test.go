package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// fair is a trial of a room with five messages, in which nothing is wrong: Ann was there all the time, Bob came back, Eve came late and asked for the
// history. The numbers do not rise by one.
func fair() *trial {
	t := &trial{room: "tea", epoch: "e", sent: map[string]string{}}
	prev := uint64(0)
	for i, seq := range []uint64{3, 4, 7, 9, 12} {
		l := line{seq, prev, "ann", fmt.Sprint("k", i), fmt.Sprint("text ", i)}
		t.history = append(t.history, l)
		t.sent[sentBy(l.user, l.key)] = l.text
		t.vouchers = append(t.vouchers, voucher{"ann", l.user, l.key, l.text, seq, false})
		prev = seq
	}
	ann := &diary{who: "ann", wire: true, stayed: true, entries: []jotting{{kind: entered, epoch: "e"}}}
	bob := &diary{who: "bob", wire: true, stayed: true, entries: []jotting{{kind: entered, epoch: "e"}}}
	eve := &diary{who: "eve", stayed: true, entries: []jotting{{kind: entered, epoch: "e", line: line{seq: 7}}}}
	for i, l := range t.history {
		if i == 2 {
			bob.entries = append(bob.entries, jotting{kind: resumed, epoch: "e", line: line{seq: 9}})
		}
		for _, d := range []*diary{ann, bob, eve} {
			if d != eve || l.seq > 7 {
				d.entries = append(d.entries, jotting{kind: listened, line: l})
			}
		}
	}
	t.diaries = []*diary{ann, bob, eve}
	t.excerpts = []excerpt{{"eve", 3, slices.Clone(t.history[1:4])}}
	return t
}

// forget takes the oldest messages out of the store.
func (t *trial) forget(n int) { t.trimmed, t.history = true, t.history[n:] }

// bob is the one whose diary is forged.
func (t *trial) bob() *diary { return t.diaries[1] }

// cut takes the entries from one to before another out of the diary, and puts others in their place.
func (d *diary) cut(from, to int, instead ...jotting) {
	d.entries = slices.Concat(d.entries[:from:from], instead, d.entries[to:])
}

func gapTold(from, to uint64) jotting { return jotting{kind: missed, from: from, to: to, epoch: "e"} }

// forgeries are lies, and what each is called. Those without a name are true.
var forgeries = map[string]struct {
	forge func(*trial)
	want  string
}{
	"nothing":                   {func(*trial) {}, ""},
	"a resend":                  {func(t *trial) { v := t.vouchers[1]; v.duplicate = true; t.vouchers = append(t.vouchers, v) }, ""},
	"only the resend was heard": {func(t *trial) { t.vouchers[1].duplicate = true }, ""},
	"no answer to the last":     {func(t *trial) { t.vouchers = t.vouchers[:4] }, ""},
	"a true gap": {func(t *trial) {
		t.forget(2)
		t.bob().cut(1, 3, gapTold(1, 6))
		t.bob().entries[3].prev = 6
	}, ""},
	"a message is gone from the history": {func(t *trial) { t.history = slices.Delete(t.history, 2, 3); t.history[2].prev = 4 }, "lost: ann k2"},
	"another stands in its place":        {func(t *trial) { t.history[2].key, t.sent["ann kx"] = "kx", "text 2" }, "lost: ann k2"},
	"a message is stored twice": {func(t *trial) {
		l := t.history[1]
		l.seq, l.prev = 15, 12
		t.history = append(t.history, l)
	}, "doubled: ann k1 is stored as 4 and as 15"},
	"two numbers for one message": {func(t *trial) { v := t.vouchers[1]; v.seq, v.duplicate = 7, true; t.vouchers = append(t.vouchers, v) }, "doubled: ann k1 was acknowledged"},
	"twice new":                   {func(t *trial) { t.vouchers = append(t.vouchers, t.vouchers[1]) }, "doubled: ann k1 was acknowledged twice as new"},
	"nobody said it":              {func(t *trial) { delete(t.sent, "ann k4"); t.vouchers = t.vouchers[:4] }, "invented: 12"},
	"an order of its own":         {func(t *trial) { t.history[1], t.history[2] = t.history[2], t.history[1] }, "history: 4 stands behind 7"},
	"a broken chain":              {func(t *trial) { t.history[3].prev = 4 }, "chain: in the history 9"},
	"heard twice":                 {func(t *trial) { d := t.bob(); d.cut(3, 3, d.entries[2]) }, "bob: doubled: heard 4 again"},
	"heard in another order":      {func(t *trial) { d := t.bob(); d.entries[1], d.entries[2] = d.entries[2], d.entries[1] }, "bob: swapped: heard 3 behind 4"},
	"not heard":                   {func(t *trial) { t.bob().cut(2, 3); t.bob().entries[3].prev = 3 }, "bob: untold: heard 7 behind 3"},
	"not heard, not even by prev": {func(t *trial) { t.bob().cut(2, 3) }, "bob: chain: 7 says that 4"},
	"the end is not heard":        {func(t *trial) { d := t.bob(); d.cut(len(d.entries)-1, len(d.entries)) }, "bob: unheard: was told up to 9"},
	"heard and not stored":        {func(t *trial) { t.bob().cut(6, 6, jotting{kind: listened, line: line{seq: 10, prev: 9, text: "x"}}) }, "bob: claimed: heard 10"},
	"heard as something else":     {func(t *trial) { t.bob().entries[2].text = "text" }, "bob: claimed: heard 4 as \"text\""},
	"a gap of what is there":      {func(t *trial) { t.bob().cut(1, 3, gapTold(1, 6)); t.bob().entries[3].prev = 6 }, "bob: untrue: told that 1 to 6 are gone, and 3 is there"},
	"a gap too short": {func(t *trial) {
		t.forget(2)
		t.bob().cut(1, 3, gapTold(1, 3))
		t.bob().entries[3].prev = 3
	}, "bob: untold: heard 7 behind 3"},
	"a gap too late": {func(t *trial) {
		t.forget(2)
		t.bob().cut(1, 3, gapTold(4, 6))
		t.bob().entries[3].prev = 6
	}, "bob: untold: a gap from 4 on behind 0"},
	"a gap of what was heard": {func(t *trial) { t.forget(2); t.bob().cut(3, 3, gapTold(3, 4)) }, "bob: untrue: told behind 4"},
	"gone and not told": {func(t *trial) {
		t.forget(2)
		t.bob().cut(1, 3)
		t.bob().entries[2].prev = 0
	}, "bob: untold: heard 7 behind 0"},
	"all anew":                    {func(t *trial) { t.bob().cut(3, 3, jotting{kind: missed, to: 4, reset: true, epoch: "e"}) }, "bob: reset: told behind 4"},
	"another epoch":               {func(t *trial) { t.bob().entries[3].epoch = "f" }, "bob: reset: told of the epoch f"},
	"back to before":              {func(t *trial) { t.bob().entries[3].seq = 3 }, "bob: behind: resumed behind 4"},
	"a hole in a page":            {func(t *trial) { e := &t.excerpts[0]; e.lines = slices.Delete(e.lines, 1, 2); e.lines[1].prev = 4 }, "eve: untold: a history behind 3 has 9 behind 4"},
	"a page that begins too late": {func(t *trial) { e := &t.excerpts[0]; e.lines = e.lines[1:]; e.lines[0].prev = 3 }, "eve: untold: a history behind 3 has 7"},
	"a page of something else":    {func(t *trial) { t.excerpts[0].lines[1].text = "x" }, "eve: claimed: a history has 7"},
	"the library's gap":           {func(t *trial) { t.diaries[2].cut(1, 2) }, "eve: untold: heard 12 behind 7"},
}

// TestPromiseForged: the judge of the tests that follow finds every kind of lie, and nothing where there is none.
func TestPromiseForged(t *testing.T) {
	for name, f := range forgeries {
		trial := fair()
		f.forge(trial)
		found := trial.faults()
		if f.want == "" && len(found) > 0 || f.want != "" && !slices.ContainsFunc(found, func(s string) bool { return strings.Contains(s, f.want) }) {
			t.Errorf("%s: found %q; want %q", name, found, f.want)
		}
	}
}
