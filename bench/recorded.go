package bench

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The figures of recorded rooms: what storing costs beside the same rooms without a store, and what only recorded rooms do. Server and client share all
// cores, since the store works beside the loops.

// The servers: rooms recorded as by default, with each message on the disk before it is acknowledged, and not at all.
const (
	isRecorded = "recorded"
	isAlways   = "sync always"
	isNone     = "record none"
)

// recorders are the three.
func recorders(flags string) ([]*contender, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("this program's own path: %w", err)
	}
	one := func(name string, more ...string) *contender {
		argv := append([]string{self, "serve", "--listen", "ADDR:PORT", "--admin=", "--admin-socket=", "--idle-timeout", "0", "--loops", strconv.Itoa(coresShared.loops())}, more...)
		return &contender{name: name, argv: append(argv, strings.Fields(flags)...), url: contenderURL, ours: true}
	}
	return []*contender{
		one(isRecorded, "--data-dir", dirWord),
		one(isAlways, "--data-dir", dirWord, "--sync", "always"),
		one(isNone, "--record", "none"),
	}, nil
}

const (
	membershipConns = 10000
	membershipEach  = 20
	bigRooms        = 20
	pairRooms       = membershipConns * membershipEach / 2
	resumeConns     = 15000
)

// enveloped are the flags for a load of throng.v1.
func enveloped(scenario []string) []string {
	return append(slices.Clone(scenario), "--subprotocol", envoyProtocol, `--hello={"type":"join","id":1,"room":"{room}"}`,
		`--prefix={"type":"publish","id":2,"room":"{room}","text":"`, `--suffix="}`, `--ack="stored":`, "--text", "--payload", strconv.Itoa(payloadBytesMinText))
}

// recordedFigures lists what can be measured.
func recordedFigures(short bool) []figure {
	window, settle := 6*time.Second, 10*time.Second
	if short {
		window, settle = 2*time.Second, 3*time.Second
	}
	timed := func(d time.Duration, scenario ...string) []string { return append(scenario, "--for", d.String()) }
	many := timed(window, "rooms", "--rooms", "100", "--members", "1", "--in-flight", "64")
	few := timed(window, "rooms", "--rooms", "100", "--members", "1", "--in-flight", "4") // a disk that is waited for takes a few thousand a second
	one := timed(window/2, "rooms", "--rooms", "1", "--members", "1", "--in-flight", "1")
	memberships := func(rooms int, more ...string) []string {
		return append([]string{"memberships", "--conns", strconv.Itoa(membershipConns), "--each", strconv.Itoa(membershipEach), "--rooms", strconv.Itoa(rooms),
			"--settle", settle.String()}, more...)
	}
	only, always := []string{isRecorded}, []string{isAlways}
	return []figure{
		{name: "raw", on: only, conns: 100, atMost: window, scenario: many},
		{name: "raw-always", on: always, conns: 100, atMost: window, scenario: few},
		{name: "envelope", on: only, conns: 100, atMost: window, scenario: enveloped(many)},
		{name: "envelope-always", on: always, conns: 100, atMost: window, scenario: enveloped(few)},
		{name: "open", on: []string{isNone, isRecorded}, conns: openConns, atMost: 2 * window,
			scenario: timed(2*window, "broadcast", "--rate", "10", "--senders", "1", "--conns", strconv.Itoa(openConns))},
		{name: "latency", on: []string{isNone, isRecorded}, conns: 1, atMost: window, scenario: enveloped(one)},
		{name: "memberships", on: only, conns: membershipConns, atMost: 2*settle + window, scenario: memberships(bigRooms, "--rate", "0")},
		{name: "rooms", on: only, conns: membershipConns, atMost: 2*settle + 4*window, scenario: memberships(pairRooms, "--for", window.String())},
		{name: "resume", on: only, conns: resumeConns, atMost: 4 * window, scenario: []string{"resume", "--conns", strconv.Itoa(resumeConns)}},
	}
}

// recordedRows is the table, in its order.
var recordedRows = []row{
	{figure: "raw", on: isRecorded, title: "rooms of one, raw", unit: "k/s", value: perSecondKilo, goal: goal{50, false, false}},
	{figure: "raw", on: isRecorded, title: "rooms of one, raw, CPU a message", unit: "us", value: serverEach},
	{figure: "raw-always", on: isAlways, title: "the same, --sync always", unit: "k/s", value: perSecondKilo},
	{figure: "envelope", on: isRecorded, title: "rooms of one, throng.v1", unit: "k/s", value: perSecondKilo, goal: goal{50, false, false}},
	{figure: "envelope", on: isRecorded, title: "rooms of one, throng.v1, CPU a message", unit: "us", value: serverEach},
	{figure: "envelope-always", on: isAlways, title: "the same, --sync always", unit: "k/s", value: perSecondKilo},
	{figure: "open", on: isRecorded, title: "10,000 receivers, median", unit: "ms", bare: isNone, value: millisP50, goal: goal{1.1, true, true}},
	{figure: "open", on: isRecorded, title: "10,000 receivers, p99", unit: "ms", bare: isNone, value: millisP99, goal: goal{1.1, true, true}},
	{figure: "open", on: isRecorded, title: "10,000 receivers, CPU a delivery", unit: "us", bare: isNone, value: serverEach, goal: goal{1.1, true, true}},
	{figure: "latency", on: isRecorded, title: "publish to delivery, idle node, median", unit: "us", bare: isNone, value: microsP50, goal: goal{200, true, false}},
	{figure: "memberships", on: isRecorded, title: "200,000 memberships in 20 rooms, each", unit: "bytes", value: bytesEachMembership, goal: goal{150, true, false}},
	{figure: "rooms", on: isRecorded, title: "100,000 rooms of two, each", unit: "bytes", value: bytesEachRoom, goal: goal{2048, true, false}},
	{figure: "rooms", on: isRecorded, title: "a load in all of them / in ten, median", unit: "ratio", value: manyToFewMedian, goal: goal{1.2, true, false}},
	{figure: "rooms", on: isRecorded, title: "a load in all of them / in ten, CPU", unit: "ratio", value: manyToFewCPU, goal: goal{1.2, true, false}},
	{figure: "resume", on: isRecorded, title: "15,000 resume 100 messages, all caught up", unit: "ms", value: millisCaughtUp, goal: goal{5000, true, false}},
	{figure: "resume", on: isRecorded, title: "the live room's longest silence meanwhile", unit: "ms", value: millisSilence, goal: goal{1000, true, false}},
}

func serverEach(r *Result) float64 { return r.ServerEach }
func microsP50(r *Result) float64  { return percentile(r, func(s *Spread) float64 { return s.P50 }) }

func bytesEachMembership(r *Result) float64 {
	if r.Memberships == nil {
		return 0
	}
	return r.Memberships.EachMembership
}

func bytesEachRoom(r *Result) float64 {
	if r.Memberships == nil {
		return 0
	}
	return r.Memberships.EachRoom
}

func manyToFewMedian(r *Result) float64 {
	m := r.Memberships
	if m == nil || m.All == nil || m.FewOnly == nil || m.All.Latency == nil || m.FewOnly.Latency == nil || m.FewOnly.Latency.P50 == 0 {
		return 0
	}
	return m.All.Latency.P50 / m.FewOnly.Latency.P50
}

func manyToFewCPU(r *Result) float64 {
	m := r.Memberships
	if m == nil || m.All == nil || m.FewOnly == nil || m.FewOnly.ServerEach == 0 {
		return 0
	}
	return m.All.ServerEach / m.FewOnly.ServerEach
}

func millisCaughtUp(r *Result) float64 {
	if r.Resume == nil {
		return 0
	}
	return r.Resume.AllCaughtUp / milli
}

func millisSilence(r *Result) float64 {
	if r.Resume == nil {
		return 0
	}
	return r.Resume.Silence / milli
}
