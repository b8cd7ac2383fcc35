package timeouts

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"
)

// The model is a list of timers sorted by the tick at which they are due. A script
// of bytes drives both: whatever the wheel does, it has to be what the list says,
// and every script ends with a wheel that is empty.

// modelTimer is what the list knows of a timer.
type modelTimer struct {
	id       ID
	class    uint8
	touched  int64
	deadline int64 // as given
	tick     int64 // when that comes up
}

type model struct {
	t     testing.TB
	bytes []byte // the rest of the script

	wheel *Wheel
	tick  int64
	epoch int64
	clock int64 // the script's time
	told  int64 // the latest time Advance was told
	lap   int64

	sorted []modelTimer
	byID   map[ID]int64 // its tick, to find it in sorted

	calls    int // of due in this Advance
	inDue    bool
	decided  bool // the script has removed or set the visited timer in due
	visiting ID
	due      func(ID, uint8, time.Duration) time.Duration
}

// run plays a script. Its first bytes choose the tick, the slots and the epoch.
func run(t testing.TB, script []byte) {
	m := &model{t: t, bytes: script, byID: map[ID]int64{}}
	m.tick = []int64{1, 3, 10, 1000}[m.byte()%4]
	slots := 1 << (m.byte() % 6)
	m.epoch = []int64{0, 1, -5000, 1 << 40}[m.byte()%4]
	m.clock, m.told, m.lap = m.epoch, m.epoch, m.tick*int64(slots)
	m.wheel = New(time.Duration(m.tick), slots, m.epoch)
	m.due = m.visit
	for len(m.bytes) > 0 {
		m.step()
		m.compare()
	}
	// Without a script every visit removes.
	m.advance(m.clock+1<<41, 0)
	m.compare()
	if m.wheel.Len() != 0 || len(m.sorted) != 0 {
		t.Fatalf("at the end %d timers are left, %d in the model", m.wheel.Len(), len(m.sorted))
	}
}

// byte returns the next of the script, and 0 after its end.
func (m *model) byte() byte {
	if len(m.bytes) == 0 {
		return 0
	}
	b := m.bytes[0]
	m.bytes = m.bytes[1:]
	return b
}

// step does what the next byte says; in due everything but Advance.
func (m *model) step() {
	op := m.byte() % 16
	switch {
	case op < 5:
		m.add()
	case op < 7:
		m.touch()
	case op < 9:
		m.set()
	case op < 11:
		m.remove()
	case op < 12:
		m.clock += m.span() // time passes, and nobody tells the wheel
	case m.inDue:
	case op < 13:
		m.clock += m.span()
		m.advance(m.clock, 0)
	case op < 15:
		m.clock += m.span()
		m.advance(m.clock, 1+int(m.byte()%4))
	default:
		m.advance(m.clock-m.span(), 0) // a clock that goes back
	}
}

// span returns a time: within a tick, some ticks, around a lap, or far beyond.
func (m *model) span() int64 {
	b := m.byte()
	n := int64(b >> 2)
	switch b & 3 {
	case 0:
		return n % (m.tick + 1)
	case 1:
		return n % 8 * m.tick
	case 2:
		return max(0, m.lap+(n-32)*m.tick/4)
	}
	return n * m.lap / 3
}

func (m *model) wait() time.Duration {
	if b := m.byte(); b%32 == 0 {
		return -time.Duration(b)
	}
	return time.Duration(m.span())
}

// pick returns one of the timers, None if there is none.
func (m *model) pick() ID {
	b := int(m.byte())
	if len(m.sorted) == 0 {
		return None
	}
	return m.sorted[b%len(m.sorted)].id
}

// place puts a timer into the list.
func (m *model) place(x modelTimer, wait time.Duration) {
	x.deadline = x.touched + int64(wait)
	x.tick = max(m.ceil(x.deadline), m.floor(m.told)+1)
	i, _ := slices.BinarySearchFunc(m.sorted, x, byTick)
	m.sorted = slices.Insert(m.sorted, i, x)
	m.byID[x.id] = x.tick
}

// lift takes a timer out of the list.
func (m *model) lift(id ID) modelTimer {
	tick, ok := m.byID[id]
	if !ok {
		m.t.Fatalf("timer %d is not running", id)
	}
	i, _ := slices.BinarySearchFunc(m.sorted, modelTimer{id: id, tick: tick}, byTick)
	x := m.sorted[i]
	m.sorted = slices.Delete(m.sorted, i, i+1)
	delete(m.byID, id)
	return x
}

func byTick(a, b modelTimer) int {
	return cmp.Or(cmp.Compare(a.tick, b.tick), cmp.Compare(a.id, b.id))
}

func (m *model) floor(at int64) int64 { return (at - m.epoch) / m.tick }

func (m *model) ceil(at int64) int64 {
	if at <= m.epoch {
		return 0
	}
	return (at - m.epoch + m.tick - 1) / m.tick
}

func (m *model) add() {
	class, wait := m.byte(), m.wait()
	id := m.wheel.Add(class, m.clock, wait)
	if _, taken := m.byID[id]; taken || id == None {
		m.t.Fatalf("Add returned %d, which is taken", id)
	}
	m.place(modelTimer{id: id, class: class, touched: m.clock}, wait)
}

func (m *model) touch() {
	id := m.pick()
	if id == None {
		return
	}
	m.wheel.Touch(id, m.clock)
	m.find(id).touched = m.clock
}

func (m *model) find(id ID) *modelTimer {
	i, _ := slices.BinarySearchFunc(m.sorted, modelTimer{id: id, tick: m.byID[id]}, byTick)
	return &m.sorted[i]
}

func (m *model) set() {
	id, class, wait := m.pick(), m.byte(), m.wait()
	if id == None {
		return
	}
	m.wheel.Set(id, class, m.clock, wait)
	m.lift(id)
	m.decided = m.decided || id == m.visiting
	m.place(modelTimer{id: id, class: class, touched: m.clock}, wait)
}

func (m *model) remove() {
	id := m.pick()
	m.wheel.Remove(id)
	if id == None {
		return
	}
	m.lift(id)
	m.decided = m.decided || id == m.visiting
}

// advance compares one Advance: whom it visits is checked by visit as it happens,
// and that nobody was forgotten at the end.
func (m *model) advance(now int64, budget int) {
	m.told = max(m.told, now)
	m.calls = 0
	more := m.wheel.Advance(now, budget, m.due)
	if budget > 0 && m.calls > budget {
		m.t.Fatalf("%d visits with a budget of %d", m.calls, budget)
	}
	if more && budget == 0 {
		m.t.Fatal("Advance without a budget left something")
	}
	if !more && len(m.sorted) > 0 && m.sorted[0].tick <= m.floor(m.told) {
		m.t.Fatalf("%+v was not visited at %d", m.sorted[0], m.told)
	}
}

// visit is due. The script may do up to three things in it before it decides.
func (m *model) visit(id ID, class uint8, silent time.Duration) time.Duration {
	m.calls++
	tick, running := m.byID[id]
	if !running || tick > m.floor(m.told) {
		m.t.Fatalf("visit of %d at %d: running %v, tick %d", id, m.told, running, tick)
	}
	x := *m.find(id)
	if class != x.class || int64(silent) != m.told-x.touched || m.told < x.deadline {
		m.t.Fatalf("visit of %+v at %d: class %d, silent %d", x, m.told, class, silent)
	}

	m.inDue, m.decided, m.visiting = true, false, id
	for range m.byte() % 4 {
		m.step()
	}
	if m.byte()%4 == 1 && !m.decided {
		m.wheel.Remove(id)
		m.lift(id)
		m.decided = true
	}
	m.inDue, m.visiting = false, None

	wait := m.wait()
	if len(m.bytes) == 0 {
		wait = 0
	}
	if m.decided {
		return wait
	}
	x = m.lift(id)
	if wait > 0 {
		m.place(x, wait)
	}
	return wait
}

// compare looks at all that can be seen from outside, and at every link.
func (m *model) compare() {
	if m.wheel.Len() != len(m.sorted) {
		m.t.Fatalf("Len is %d, want %d", m.wheel.Len(), len(m.sorted))
	}
	for _, x := range m.sorted {
		if m.wheel.Class(x.id) != x.class || m.wheel.Touched(x.id) != x.touched {
			m.t.Fatalf("timer %+v: class %d, touched %d", x, m.wheel.Class(x.id), m.wheel.Touched(x.id))
		}
	}
	if err := m.wheel.check(); err != nil {
		m.t.Fatal(err)
	}
}

// check follows every list, the free one too: each entry stands in exactly one, each
// link has its counterpart, and nobody is in a slot that comes up too late for them.
func (w *Wheel) check() error {
	seen, linked := make([]bool, w.fresh), 0
	for slot, id := range w.heads {
		prev := slotBit | uint32(slot)
		for ; id != None; id = w.at(id).next {
			e := w.at(id)
			if seen[id] || e.prev != prev {
				return fmt.Errorf("timer %d: seen %v, prev %x, want %x", id, seen[id], e.prev, prev)
			}
			comesUp := w.next + (uint64(slot)-w.next)&w.mask
			if uint32(slot) != w.walking && comesUp > max(e.tick(), w.seen) {
				return fmt.Errorf("timer %d: tick %d in slot %d, walked at %d", id, e.tick(), slot, comesUp)
			}
			seen[id], prev = true, uint32(id)
			linked++
		}
	}
	if linked != w.live {
		return fmt.Errorf("%d timers linked, %d live", linked, w.live)
	}
	for id := w.freed; id != None; id = w.at(id).next {
		if seen[id] || w.at(id).prev != free {
			return fmt.Errorf("free timer %d: seen %v, prev %x", id, seen[id], w.at(id).prev)
		}
		seen[id] = true
		linked++
	}
	if linked != int(w.fresh)-1 {
		return fmt.Errorf("%d timers in lists, %d were given out", linked, w.fresh-1)
	}
	return nil
}

// TestModel plays random scripts. THRONG_SEED=n plays that of one seed again.
func TestModel(t *testing.T) {
	first, seeds := rand.Uint64()>>1, 1500
	if testing.Short() {
		seeds = 200
	}
	if s := os.Getenv("THRONG_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		first, seeds = n, 1
	}
	for i := range seeds {
		seed := first + uint64(i)
		ok := t.Run("", func(t *testing.T) { run(t, scriptOf(seed)) })
		if !ok {
			t.Fatalf("play it again with THRONG_SEED=%d", seed)
		}
	}
}

// scriptOf returns the script of a seed, some of them long enough for many timers.
func scriptOf(seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 0))
	script := make([]byte, 0, 1024)
	for range 1 + r.IntN(128) {
		script = binary.LittleEndian.AppendUint64(script, r.Uint64())
	}
	return script
}

// FuzzWheel lets the fuzzer write the script.
func FuzzWheel(f *testing.F) {
	f.Add([]byte{})
	for seed := range uint64(8) {
		f.Add(scriptOf(seed))
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		run(t, script[:min(len(script), 1024)]) // compare is quadratic
	})
}
