package engine

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

// plainBook is what an addressBook does, without shards and without forgetting.
type plainBook map[address]*tally

func (b plainBook) enter(a address, now int64, lim *Limits) Reason {
	t := b[a]
	if t == nil {
		t = new(tally)
		b[a] = t
	}
	switch {
	case lim.AddressConnections > 0 && int(t.conns) >= lim.AddressConnections:
		return ReasonAddressConnections
	case lim.AddressHandshakes > 0 && int(t.heads) >= lim.AddressHandshakes:
		return ReasonAddressHandshakes
	}
	if lim.AddressRate > 0 {
		gap := 1e9 / lim.AddressRate
		t.due = min(max(t.due, now), now+int64(float64(lim.AddressBurst)*gap)) // no emptier than empty
		if float64(t.due-now) > float64(lim.AddressBurst-1)*gap {
			return ReasonAddressRate
		}
		t.due += int64(gap)
	}
	t.conns++
	t.heads++
	return ReasonNone
}

// TestAddressBookAgainstModel has connections come, finish their handshakes and
// go by chance, under limits that change: the book says what a plain map says,
// and in the end nothing is left of it.
func TestAddressBookAgainstModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	chance := rand.New(rand.NewPCG(seed, 1))
	fail := func(format string, args ...any) {
		t.Helper()
		t.Fatalf("seed %d: "+format, append([]any{seed}, args...)...)
	}
	type visit struct {
		a    address
		head bool
	}
	book, plain := newAddressBook(64), plainBook{}
	lim := Limits{AddressConnections: 5, AddressHandshakes: 3, AddressRate: 2, AddressBurst: 3}
	var inside []visit
	now := int64(1)
	verdicts := map[Reason]int{}
	for range 100_000 {
		now += int64(chance.IntN(int(2 * time.Millisecond)))
		switch at := chance.IntN(10); {
		case at < 5:
			a := address{15: byte(chance.IntN(40))}
			want, got := plain.enter(a, now, &lim), book.enter(a, now, &lim)
			if got != want {
				fail("%v enters: %s, want %s", a, got, want)
			}
			if verdicts[got]++; got == ReasonNone {
				inside = append(inside, visit{a, true})
			}
		case len(inside) == 0:
		case at < 7:
			if v := &inside[chance.IntN(len(inside))]; v.head {
				v.head = false
				plain[v.a].heads--
				book.greeted(v.a)
			}
		case at < 8:
			i := chance.IntN(len(inside))
			v := inside[i]
			inside[i] = inside[len(inside)-1]
			inside = inside[:len(inside)-1]
			if plain[v.a].conns--; v.head {
				plain[v.a].heads--
			}
			book.leave(v.a, v.head, now)
		default:
			book.sweep(now)
			if chance.IntN(100) == 0 {
				lim.AddressRate, lim.AddressConnections = float64(1+chance.IntN(10)), 3+chance.IntN(5)
			}
		}
	}
	for _, why := range []Reason{ReasonNone, ReasonAddressConnections, ReasonAddressHandshakes, ReasonAddressRate} {
		if verdicts[why] < 100 {
			fail("only %d visits ended with %s: the model shows nothing", verdicts[why], why)
		}
	}
	for _, v := range inside {
		book.leave(v.a, v.head, now)
	}
	for range addressShards {
		book.sweep(now + int64(time.Hour))
	}
	if present, absent := book.size(); present+absent != 0 {
		fail("%d addresses are left, and %d without connections", present, absent)
	}
}

// TestAddressBookUnderStorm has very many addresses connect and leave: what is
// remembered of them is bounded, those who stay are counted all the same, and
// when the storm is over it is forgotten.
func TestAddressBookUnderStorm(t *testing.T) {
	book := newAddressBook(64)
	lim := Limits{AddressConnections: 1, AddressRate: 1, AddressBurst: 1}
	resident := address{0: 0xff}
	if why := book.enter(resident, 1, &lim); why != ReasonNone {
		t.Fatal(why)
	}
	var a address
	for i := range 200_000 {
		binary.BigEndian.PutUint64(a[:], uint64(i))
		if why := book.enter(a, 1, &lim); why != ReasonNone {
			t.Fatalf("address %d is refused: %s", i, why)
		}
		book.leave(a, true, 1)
	}
	if present, absent := book.size(); present != 1 || absent > addressShards*absentMax {
		t.Errorf("%d addresses, and %d without connections; want 1, and at most %d", present, absent, addressShards*absentMax)
	}
	if why := book.enter(resident, 1, &lim); why != ReasonAddressConnections {
		t.Errorf("who was there before the storm is not counted: %s", why)
	}
	for range addressShards {
		book.sweep(int64(time.Minute))
	}
	if present, absent := book.size(); present != 1 || absent != 0 {
		t.Errorf("after the storm: %d addresses, and %d without connections", present, absent)
	}
}

// TestAddressBookShrinks has a crowd come and go: the maps that it blew up are
// made anew.
func TestAddressBookShrinks(t *testing.T) {
	book := newAddressBook(64)
	lim := Limits{AddressConnections: 1}
	var a address
	visit := func(f func()) {
		for i := range 100_000 {
			binary.BigEndian.PutUint64(a[:], uint64(i))
			f()
		}
	}
	visit(func() { book.enter(a, 1, &lim) })
	visit(func() { book.leave(a, true, 1) })
	for range addressShards {
		book.sweep(1)
	}
	for i := range book.shards {
		if s := &book.shards[i]; s.peak != 0 {
			t.Fatalf("shard %d still has the map of %d", i, s.peak)
		}
	}
}

// TestAddressPrefix holds what counts as one address.
func TestAddressPrefix(t *testing.T) {
	of := func(bits int, text string) address {
		return newAddressBook(bits).of(remoteOf(netip.AddrPortFrom(netip.MustParseAddr(text), 1)))
	}
	for _, x := range []struct {
		bits int
		a, b string
		one  bool
	}{
		{64, "203.0.113.7", "203.0.113.7", true},
		{64, "203.0.113.7", "203.0.113.8", false},
		{64, "203.0.113.7", "::ffff:203.0.113.7", true},
		{64, "2001:db8:0:1::1", "2001:db8:0:1:ffff::2", true},
		{64, "2001:db8:0:1::1", "2001:db8:0:2::1", false},
		{56, "2001:db8:0:1::1", "2001:db8:0:ff::1", true},
		{56, "2001:db8:0:1::1", "2001:db8:0:100::1", false},
		{128, "2001:db8::1", "2001:db8::2", false},
	} {
		if one := of(x.bits, x.a) == of(x.bits, x.b); one != x.one {
			t.Errorf("by %d bits, %s and %s are one: %v, want %v", x.bits, x.a, x.b, one, x.one)
		}
	}
}

// TestPace holds the bucket in one number against its burst and its rate.
func TestPace(t *testing.T) {
	var p sharedPace
	now := int64(time.Hour)
	took := func() (n int) {
		for p.take(now, 10, 5) {
			n++
		}
		return n
	}
	if n := took(); n != 5 {
		t.Errorf("%d at once, the burst is 5", n)
	}
	now += int64(300 * time.Millisecond)
	if n := took(); n != 3 {
		t.Errorf("%d after 300 ms at 10 a second, want 3", n)
	}
	now += int64(time.Hour)
	if n := took(); n != 5 {
		t.Errorf("%d after an hour, the burst is 5", n)
	}
}

// TestPaceMilder: who was paced by a strict limit is let in by a milder one as soon
// as anybody with an empty bucket, not when the strict one would have.
func TestPaceMilder(t *testing.T) {
	book, now, a := newAddressBook(64), int64(time.Hour), address{1}
	strict := Limits{AddressRate: 0.01, AddressBurst: 100}
	for range 100 {
		if why := book.enter(a, now, &strict); why != ReasonNone {
			t.Fatal(why)
		}
		book.leave(a, true, now)
	}
	if why := book.enter(a, now, &strict); why != ReasonAddressRate {
		t.Fatalf("the 101st is let in: %s", why)
	}
	milder := Limits{AddressRate: 10, AddressBurst: 5}
	if why := book.enter(a, now, &milder); why != ReasonAddressRate {
		t.Errorf("one is let in at once: %s", why)
	}
	if why := book.enter(a, now+int64(150*time.Millisecond), &milder); why != ReasonNone {
		t.Errorf("150 ms later, at 10 a second: %s", why)
	}
	var all sharedPace
	for all.take(now, 0.01, 100) {
	}
	if all.take(now, 10, 5) || !all.take(now+int64(150*time.Millisecond), 10, 5) {
		t.Error("of everybody together, not one is let in 150 ms after the first try at 10 a second")
	}
}

// TestAddressBookAllocatesNothing: an address that comes and goes costs no garbage.
func TestAddressBookAllocatesNothing(t *testing.T) {
	book, lim := newAddressBook(64), Limits{AddressConnections: 1, AddressRate: 1e6, AddressBurst: 10}
	a, now := address{1}, int64(0)
	if n := testing.AllocsPerRun(1000, func() {
		now += 1e9
		book.enter(a, now, &lim)
		book.greeted(a)
		book.leave(a, false, now)
	}); n != 0 {
		t.Errorf("%g allocations", n)
	}
}
