package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"throng/bench/report"
)

// Memberships says how to measure what rooms cost a server of throng.v1: Conns connections are in Each rooms each, of Rooms in all, and memory
// is looked at before and after they join. Then a load of Rate messages a second is put on all rooms in turn, and the same on Few of them.
type Memberships struct {
	Options
	Conns  int
	Each   int
	Rooms  int
	Few    int
	Rate   float64       // messages a second; 0: no load
	Settle time.Duration // before each look
	For    time.Duration // of each load
}

// membership is a run. Seat j of connection c is in room (c*Each + j) mod Rooms, so that with twice as many seats as rooms the two
// members of a room are connections far apart.
type membership struct {
	*envoys
	cfg    *Memberships
	prefix string
	last   []uint64 // by seat: the number of the last message
	joined int
	acked  int
	sent   int
	got    uint64
	window hist
	busy   float64 // share of a core that this process took under load, at most
	faults report.Faults
}

func (cfg *Memberships) check() error {
	switch {
	case cfg.Conns < 1 || cfg.Each < 1 || cfg.Rooms < cfg.Each || cfg.Conns*cfg.Each%cfg.Rooms != 0:
		return fmt.Errorf("--conns %d, --each %d, --rooms %d: want rooms that a connection can be in and that are equally large", cfg.Conns, cfg.Each, cfg.Rooms)
	case cfg.Few < 1 || cfg.Few > cfg.Rooms:
		return fmt.Errorf("--few %d: want 1 to %d", cfg.Few, cfg.Rooms)
	case !countable(cfg.Rate) || cfg.Settle < 0:
		return fmt.Errorf("--rate %g, --settle %s: want 0 or more", cfg.Rate, cfg.Settle)
	}
	return firstError(checkWindow(0, cfg.For), cfg.Options.check())
}

// Run connects, joins, looks, and talks.
func (cfg Memberships) Run(ctx context.Context) (*report.Result, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	watch, err := newWatch(cfg.PID, cfg.Metrics)
	if err != nil {
		return nil, err
	}
	v, err := newEnvoys(ctx, cfg.URL[0], cfg.Conns)
	if err != nil {
		return nil, err
	}
	defer v.close()
	m := &membership{envoys: v, cfg: &cfg, prefix: fmt.Sprintf("m%x-", rand.Uint32()), last: make([]uint64, cfg.Conns*cfg.Each)}
	v.heard = m.hear
	r := &report.Result{Format: report.Format, Scenario: "memberships", Began: time.Now(), URL: cfg.URL, Name: cfg.Name, Settings: cfg.settings,
		Machine: machine(), Workers: 1, Conns: cfg.Conns, Rooms: cfg.Rooms, Rate: cfg.Rate}
	r.Memberships = &report.Memberships{Count: cfg.Conns * cfg.Each, Rooms: cfg.Rooms, Few: cfg.Few}
	if err := m.measure(ctx, watch, r); err != nil {
		return nil, err
	}
	r.Sent, r.Acked, r.Faults = uint64(m.sent), uint64(m.acked), m.faults
	r.ClientCPU, r.ClientBusy = m.busy, m.busy
	return r, nil
}

func (m *membership) progress(format string, a ...any) {
	if m.cfg.Progress != nil {
		m.cfg.Progress(fmt.Sprintf(format, a...))
	}
}

func (m *membership) measure(ctx context.Context, watch *watch, r *report.Result) error {
	m.progress("connecting %d", m.cfg.Conns)
	if err := m.connect(ctx, 0, m.cfg.Conns); err != nil {
		return err
	}
	first, err := m.settled(ctx, watch)
	if err != nil {
		return err
	}
	began := now()
	if err := m.joinAll(ctx); err != nil {
		return err
	}
	out := r.Memberships
	out.JoinsPerSecond = float64(out.Count) / (now() - began).Seconds()
	second, err := m.settled(ctx, watch)
	if err != nil {
		return err
	}
	out.EachMembership = float64(second.pss-first.pss) / float64(out.Count)
	out.EachRoom = float64(second.pss-first.pss) / float64(out.Rooms)
	if m.cfg.Rate == 0 {
		return nil
	}
	// Each is warmed up by a third of itself: the first message of a room makes its memory.
	for _, load := range []struct {
		rooms int
		to    **report.Delivered
	}{{m.cfg.Rooms, &out.All}, {m.cfg.Few, &out.FewOnly}} {
		if _, err := m.load(ctx, watch, load.rooms, m.cfg.For/3); err != nil {
			return err
		}
		if *load.to, err = m.load(ctx, watch, load.rooms, m.cfg.For); err != nil {
			return err
		}
	}
	return nil
}

func (m *membership) settled(ctx context.Context, watch *watch) (look, error) {
	m.progress("waiting %s", m.cfg.Settle)
	if err := m.run(ctx, now()+m.cfg.Settle, func() bool { return false }); err != nil {
		return look{}, err
	}
	return watch.lookPSS()
}

func (m *membership) roomOf(c, j int) int { return (c*m.cfg.Each + j) % m.cfg.Rooms }

func (m *membership) name(room int) string { return m.prefix + strconv.Itoa(room) }

// joinAll: a bounded number of joins are under way, so that none waits for thousands of others.
func (m *membership) joinAll(ctx context.Context) error {
	const atOnce = 2000
	asked, shown := 0, now()
	for c := range m.all {
		for j := range m.cfg.Each {
			text := fmt.Appendf(nil, `{"type":"join","id":%d,"room":"%s"}`, j+1, m.name(m.roomOf(c, j)))
			if err := m.say(&m.all[c], text); err != nil {
				return err
			}
			asked++
		}
		if t := now(); t-shown > time.Second {
			shown = t
			m.progress("%d of %d joined", m.joined, len(m.last))
		}
		if err := m.run(ctx, now()+storePatience, func() bool { return asked-m.joined < atOnce }); err != nil {
			return err
		}
	}
	err := m.run(ctx, now()+storePatience, func() bool { return m.joined == asked })
	if err == nil && m.joined < asked {
		err = fmt.Errorf("%d of %d joins were answered within %s", m.joined, asked, storePatience)
	}
	return err
}

// storePatience is how long a server may take for what goes to its store.
const storePatience = 30 * time.Second

// hear takes what the server says to an envoy.
func (m *membership) hear(e *envoy, p []byte) error {
	if one, ok := parseTold(p); ok {
		return m.message(e, one)
	}
	id, _, isOK := cutNumber(bytes.TrimPrefix(p, okHead), []byte(`"id":`))
	switch {
	case bytes.HasPrefix(p, okHead) && isOK && id == 0:
		m.acked++
	case bytes.HasPrefix(p, okHead) && isOK:
		var ok struct{ Seq uint64 }
		if err := json.Unmarshal(p, &ok); err != nil {
			return err
		}
		m.last[e.index*m.cfg.Each+int(id)-1] = ok.Seq
		m.joined++
	case bytes.HasPrefix(p, gapHead):
		m.faults.Lost++
	default:
		return wrong(p)
	}
	return nil
}

// message checks that a message is the next one of its room.
func (m *membership) message(e *envoy, one told) error {
	t := now()
	room, err := strconv.Atoi(string(bytes.TrimPrefix(one.room, []byte(m.prefix))))
	j := ((room-e.index*m.cfg.Each)%m.cfg.Rooms + m.cfg.Rooms) % m.cfg.Rooms
	if err != nil || j >= m.cfg.Each {
		m.faults.Stray++
		return nil
	}
	last := &m.last[e.index*m.cfg.Each+j]
	switch {
	case one.seq <= *last:
		m.faults.Duplicated++
	case one.prev != *last:
		m.faults.Lost++
	}
	*last = one.seq
	m.got++
	if m.window.Histogram != nil {
		m.window.record(t - one.said)
	}
	return nil
}

// load talks in so many rooms, spread over all, and waits until all of it has come.
func (m *membership) load(ctx context.Context, watch *watch, rooms int, d time.Duration) (*report.Delivered, error) {
	m.progress("talking in %d rooms for %s", rooms, d)
	from, err := watch.look()
	if err != nil {
		return nil, err
	}
	client, began := ownCPU(), now()
	m.window, m.got = newHist(), 0
	members := len(m.last) / m.cfg.Rooms
	acked := m.acked
	start, sent := now(), 0
	for t := start; t < start+d; t = now() {
		for ; float64(sent) < (t-start).Seconds()*m.cfg.Rate; sent++ {
			room := sent % rooms * (m.cfg.Rooms / rooms)
			if err := m.say(&m.all[room/m.cfg.Each], appendPublish(nil, m.name(room), now())); err != nil {
				return nil, err
			}
		}
		if err := m.turn(ctx, t+time.Millisecond); err != nil {
			return nil, err
		}
	}
	all := func() bool { return m.got >= uint64(sent*members) && m.acked-acked >= sent }
	if err := m.run(ctx, now()+drainMax, all); err != nil {
		return nil, err
	}
	to, err := watch.look()
	if err != nil {
		return nil, err
	}
	m.busy = max(m.busy, (ownCPU()-client).Seconds()/(now()-began).Seconds())
	m.sent += sent
	m.faults.Lost += uint64(sent*members) - min(m.got, uint64(sent*members)) + uint64(sent-min(m.acked-acked, sent))
	out := &report.Delivered{Rooms: rooms, Latency: report.SpreadOf(m.window.Histogram)}
	if m.got > 0 {
		out.ServerEach = (to.cpu - from.cpu).Seconds() * 1e6 / float64(m.got)
	}
	m.window = hist{}
	return out, nil
}
