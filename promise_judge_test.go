package main

import (
	"fmt"
	"slices"
	"testing"
)

// What throng promises of recorded rooms is judged by what people wrote down while things went wrong, and by what the history has in the end:
//
//	acknowledged is stored          each voucher stands in the history under its number
//	a resend never duplicates       no key stands there twice, and all its vouchers have one number
//	one order, no gaps or repeats   each diary is a stretch of the history, but for what was told to be missing
//	gaps are true                   nothing that was told to be gone can be had

// line is a message of a recorded room.
type line struct {
	seq, prev       uint64
	user, key, text string
}

// voucher is the server's word for a message.
type voucher struct {
	by, user, key, text string
	seq                 uint64
	duplicate           bool
}

// diary is what one client was told of one room, in order.
type diary struct {
	who     string
	room    string
	wire    bool // it has what came over the wire, where each prev is the number that came before; a library may have mended something
	stayed  bool // to the end: it must have everything
	entries []jotting
}

// jotting is an entry of a diary.
type jotting struct {
	kind jottingKind
	line
	epoch    string
	from, to uint64 // of a gap
	reset    bool
}

type jottingKind uint8

const (
	entered jottingKind = iota // at a place, which is seq: what follows it is to be told
	resumed                    // likewise, but what follows is all behind the last that was told
	listened
	missed // something, as a gap said
)

// excerpt is a page of a history that was asked for while things went on: what follows a number.
type excerpt struct {
	by    string
	after uint64
	lines []line
}

// trial is all that is known of one room.
type trial struct {
	room     string
	epoch    string
	history  []line // all of it, unless trimmed
	trimmed  bool   // the store keeps less than was said
	sent     map[string]string
	vouchers []voucher
	diaries  []*diary
	excerpts []excerpt

	known map[uint64]line // what was ever stored
	seqs  []uint64        // of these, in order
	left  map[uint64]bool // what the history still has
	found []string
}

// sentBy is the key of trial.sent: what a user said under a key of its own.
func sentBy(user, key string) string { return user + " " + key }

func (t *trial) fault(format string, args ...any) {
	t.found = append(t.found, t.room+": "+fmt.Sprintf(format, args...))
}

// faults judges, and names each thing that should not be.
func (t *trial) faults() []string {
	t.known, t.left = map[uint64]line{}, map[uint64]bool{}
	t.judgeHistory()
	t.judgeVouchers()
	if t.trimmed { // what was heard and is gone was stored as well
		for _, d := range t.diaries {
			for _, j := range d.entries {
				if _, known := t.known[j.seq]; j.kind == listened && !known {
					t.known[j.seq] = j.line
				}
			}
		}
	}
	for seq := range t.known {
		t.seqs = append(t.seqs, seq)
	}
	slices.Sort(t.seqs)
	for _, d := range t.diaries {
		t.judgeDiary(d)
	}
	for _, e := range t.excerpts {
		t.judgeExcerpt(&e)
	}
	return t.found
}

func (t *trial) judgeHistory() {
	at := map[string]uint64{}
	prev := uint64(0)
	for i, l := range t.history {
		if l.seq <= prev {
			t.fault("history: %d stands behind %d", l.seq, prev)
		}
		if l.prev != prev && (i > 0 || !t.trimmed) {
			t.fault("chain: in the history %d says that %d is before it, and it is %d", l.seq, l.prev, prev)
		}
		id := sentBy(l.user, l.key)
		if text, said := t.sent[id]; l.key != "" && (!said || text != l.text) {
			t.fault("invented: %d is %q by %s, who said %q", l.seq, l.text, l.user, text)
		}
		if before, twice := at[id]; twice && l.key != "" {
			t.fault("doubled: %s is stored as %d and as %d", id, before, l.seq)
		}
		at[id], prev = l.seq, l.seq
		t.known[l.seq], t.left[l.seq] = l, true
	}
}

func (t *trial) judgeVouchers() {
	oldest := uint64(0)
	if t.trimmed && len(t.history) > 0 {
		oldest = t.history[0].seq
	}
	first := map[string]voucher{}
	for _, v := range t.vouchers {
		id := sentBy(v.user, v.key)
		if before, again := first[id]; again {
			if before.seq != v.seq {
				t.fault("doubled: %s was acknowledged to %s as %d and to %s as %d", id, before.by, before.seq, v.by, v.seq)
			}
			if !before.duplicate && !v.duplicate {
				t.fault("doubled: %s was acknowledged twice as new, as %d", id, v.seq)
			}
			before.duplicate = before.duplicate && v.duplicate
			first[id] = before
			continue
		}
		first[id] = v
		l, stored := t.known[v.seq]
		switch {
		case stored && (l.user != v.user || l.key != v.key || l.text != v.text):
			t.fault("lost: %s was acknowledged as %d, where %q of %s is", id, v.seq, l.text, sentBy(l.user, l.key))
		case !stored && v.seq < oldest:
			t.known[v.seq] = line{seq: v.seq, user: v.user, key: v.key, text: v.text}
		case !stored:
			t.fault("lost: %s was acknowledged as %d, and is not in the history", id, v.seq)
		}
	}
}

// between are the numbers of what was stored after one number and before another.
func (t *trial) between(after, before uint64) []uint64 {
	from, found := slices.BinarySearch(t.seqs, after)
	if found {
		from++
	}
	to, _ := slices.BinarySearch(t.seqs, before)
	if from >= to {
		return nil
	}
	return t.seqs[from:to]
}

func (t *trial) judgeDiary(d *diary) {
	at, had := uint64(0), map[uint64]bool{}
	for _, j := range d.entries {
		if j.epoch != "" && j.epoch != t.epoch {
			t.fault("%s: reset: told of the epoch %s, and it is %s", d.who, j.epoch, t.epoch)
		}
		switch j.kind {
		case entered:
			at = j.seq
		case resumed:
			if d.wire && j.seq < at {
				t.fault("%s: behind: resumed behind %d in a room whose newest is said to be %d", d.who, at, j.seq)
			}
		case missed:
			at = t.judgeGap(d, at, &j)
		case listened:
			t.judgeHeard(d, at, had, &j)
			had[j.seq], at = true, max(at, j.seq)
		}
	}
	if rest := t.between(at, ^uint64(0)); d.stayed && len(rest) > 0 {
		t.fault("%s: unheard: was told up to %d, and nothing of %d more from %d to %d", d.who, at, len(rest), rest[0], rest[len(rest)-1])
	}
}

func (t *trial) judgeHeard(d *diary, at uint64, had map[uint64]bool, j *jotting) {
	l, known := t.known[j.seq]
	switch {
	case !known:
		t.fault("%s: claimed: heard %d %q, which is not stored", d.who, j.seq, j.text)
		return
	case l.user != j.user || l.key != j.key || l.text != j.text:
		t.fault("%s: claimed: heard %d as %q of %s, and it is %q of %s", d.who, j.seq, j.text, sentBy(j.user, j.key), l.text, sentBy(l.user, l.key))
	case had[j.seq]:
		t.fault("%s: doubled: heard %d again behind %d", d.who, j.seq, at)
		return
	case j.seq <= at:
		t.fault("%s: swapped: heard %d behind %d", d.who, j.seq, at)
		return
	}
	if skipped := t.between(at, j.seq); len(skipped) > 0 {
		t.fault("%s: untold: heard %d behind %d, and nothing of %d others from %d on", d.who, j.seq, at, len(skipped), skipped[0])
	}
	if d.wire && j.prev != at || j.prev > at {
		t.fault("%s: chain: %d says that %d is before it, and the last told was %d", d.who, j.seq, j.prev, at)
	}
}

// judgeGap returns where the diary stands after it.
func (t *trial) judgeGap(d *diary, at uint64, j *jotting) uint64 {
	if j.reset {
		t.fault("%s: reset: told behind %d that all begins anew at %d", d.who, at, j.to)
		return j.to
	}
	if j.to <= at || j.from > j.to || j.from <= at && d.wire {
		t.fault("%s: untrue: told behind %d that %d to %d are gone", d.who, at, j.from, j.to)
		return max(at, j.to)
	}
	if skipped := t.between(at, j.from); len(skipped) > 0 {
		t.fault("%s: untold: a gap from %d on behind %d, and nothing of %d others from %d on", d.who, j.from, at, len(skipped), skipped[0])
	}
	for _, seq := range t.between(max(at, j.from-1), j.to+1) {
		if t.left[seq] {
			t.fault("%s: untrue: told that %d to %d are gone, and %d is there", d.who, j.from, j.to, seq)
			break
		}
	}
	return j.to
}

// judgeExcerpt: a page of the history lacks nothing, though it may not know the newest.
func (t *trial) judgeExcerpt(e *excerpt) {
	at := e.after
	for i, l := range e.lines {
		if k, known := t.known[l.seq]; !known || k.user != l.user || k.key != l.key || k.text != l.text {
			t.fault("%s: claimed: a history has %d as %q, and it is %q", e.by, l.seq, l.text, k.text)
		}
		skipped := t.between(at, l.seq)
		byPrev := l.prev > at // what is gone is told by prev
		if len(skipped) > 0 && (i > 0 || !byPrev || t.left[skipped[0]]) {
			t.fault("%s: untold: a history behind %d has %d behind %d, and not %d", e.by, e.after, l.seq, at, skipped[0])
		}
		if l.seq <= at || l.prev != at && i > 0 || l.prev > at && !t.trimmed {
			t.fault("%s: chain: in a history %d says that %d is before it, and it is %d", e.by, l.seq, l.prev, at)
		}
		at = l.seq
	}
}

// hold fails the test with all that is found.
func (t *trial) hold(test testing.TB) {
	test.Helper()
	const shown = 20
	found := t.faults()
	for _, fault := range found[:min(len(found), shown)] {
		test.Error(fault)
	}
	if len(found) > shown {
		test.Errorf("%s: and %d faults more", t.room, len(found)-shown)
	}
}
