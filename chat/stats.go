package chat

import "sync/atomic"

// counter counts; any goroutine.
type counter = atomic.Int64

// counters are what the rooms count.
type counters struct {
	published, stored, duplicates, failed counter // messages given to the store, and its answers
	fannedOut, ephemeral                  counter // messages told to rooms, from the store and without it
	holes, gaps                           counter // messages found missing and fetched; and not to be had any more
	recoveriesMemory, recoveriesStore     counter // who came back and was served from memory, from the store,
	recoveriesReset                       counter // or told to begin anew
	refusals, refusedTokens               counter
	storeErrors, castsLost                counter
	foreign                               counter // records that nobody can read
	panics                                counter // beside the loops
}

// answered counts the store's answer to a publish.
func (c *counters) answered(receipt Receipt, err error) {
	switch {
	case err != nil:
		c.failed.Add(1)
	case receipt.Duplicate:
		c.duplicates.Add(1)
	default:
		c.stored.Add(1)
	}
}

// Metrics tells a visitor what the rooms count, as package admin asks for it. Any goroutine.
func (s *Server) Metrics(v interface {
	Counter(name, help string, value float64, labels ...string)
	Gauge(name, help string, value float64, labels ...string)
	Histogram(name, help string, bounds []float64, counts []uint64, sum float64, labels ...string)
}) {
	c := &s.stats
	count := func(name, help string, n *counter, labels ...string) {
		v.Counter(name, help, float64(n.Load()), labels...)
	}
	const publishes, publishesHelp = "throng_publishes_total", "Messages given to the store, by its answer."
	count(publishes, publishesHelp, &c.stored, "result", "stored")
	count(publishes, publishesHelp, &c.duplicates, "result", "duplicate")
	count(publishes, publishesHelp, &c.failed, "result", "failed")
	v.Gauge("throng_publishes_pending", "Messages that the store has not answered.",
		float64(c.published.Load()-c.stored.Load()-c.duplicates.Load()-c.failed.Load()))
	count("throng_room_messages_total", "Messages told to rooms.", &c.fannedOut, "recorded", "yes")
	count("throng_room_messages_total", "Messages told to rooms.", &c.ephemeral, "recorded", "no")
	const recoveries, recoveriesHelp = "throng_recoveries_total", "Clients that came back to a room, by what they were served from; reset: the numbering had begun anew."
	count(recoveries, recoveriesHelp, &c.recoveriesMemory, "result", "memory")
	count(recoveries, recoveriesHelp, &c.recoveriesStore, "result", "store")
	count(recoveries, recoveriesHelp, &c.recoveriesReset, "result", "reset")
	count("throng_room_holes_total", "Times that a room's messages were found missing and fetched from the store.", &c.holes)
	count("throng_room_gaps_total", "Times that members were told of messages that are gone.", &c.gaps)
	count("throng_requests_refused_total", "Requests of throng.v1 that were answered with an error.", &c.refusals)
	count("throng_tokens_refused_total", "Tokens that were not good.", &c.refusedTokens)
	count("throng_store_errors_total", "Questions that the store did not answer.", &c.storeErrors)
	count("throng_casts_lost_total", "What could not be told to other nodes.", &c.castsLost)
	count("throng_records_unreadable_total", "Records, of the store and of other nodes, that are none.", &c.foreign)
	count("throng_room_panics_total", "Panics beside the loops: what they were about was given up.", &c.panics)
	v.Gauge("throng_room_recent_bytes", "Recent messages that rooms keep in memory.", float64(s.recentBytes.Load()))
	v.Gauge("throng_rooms", "Rooms in memory: those with members, and those that were left a moment ago.", float64(s.rooms.count.Load()))
}
