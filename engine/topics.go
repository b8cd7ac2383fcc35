package engine

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
)

// The orders of a list of topics.
const (
	SortSubscribers Sort = "subscribers" // most subscribers first; so is SortNone
	SortRate        Sort = "rate"        // most messages a second first
)

// TopicsQuery asks for topics.
type TopicsQuery struct {
	Name   string // this one
	Prefix string // those that begin like this
	Sort   Sort   // SortSubscribers, SortRate, or SortLag: farthest behind first
	Limit  int    // rows at most, up to 1,000; 0: 100
}

// TopicRow is a topic as lists show it.
type TopicRow struct {
	Name        string  `json:"name"`
	Subscribers int     `json:"subscribers"`
	Loops       []int   `json:"loops"`     // subscribers on each loop
	Skew        float64 `json:"skew"`      // those on the fullest loop, by those there would be if all had as many
	LogBytes    int     `json:"log_bytes"` // kept for those who lag, on all loops
	Lagging     int     `json:"lagging"`   // subscribers who could not take all they were sent
	LagBytes    int     `json:"lag_bytes"` // what the farthest of these has not had
	Congested   bool    `json:"congested"` // publishers wait
	Messages    uint64  `json:"messages"`  // published since the topic began
	Rate        float64 `json:"rate"`      // messages a second, of late
}

func (q *TopicsQuery) check() error {
	switch q.Sort {
	case SortNone, SortSubscribers, SortRate, SortLag:
	default:
		return fmt.Errorf("engine: topics are sorted by subscribers, rate or lag, not %q", q.Sort)
	}
	if q.Limit < 0 || q.Limit > rowsMax {
		return fmt.Errorf("engine: a list of topics has 1 to %d rows", rowsMax)
	}
	if q.Limit == 0 {
		q.Limit = rowsUsual
	}
	return nil
}

func (q *TopicsQuery) match(t *Topic) bool {
	return (q.Name == "" || q.Name == t.name) && strings.HasPrefix(t.name, q.Prefix)
}

// Topics lists topics that have subscribers. The candidates are chosen by what any
// goroutine may read, and the loops are asked for these alone, in slices, so
// that neither a loop nor a registry shard is held for long. How far laggards are
// behind is a tick old. Any goroutine but a loop's.
func (e *Engine) Topics(ctx context.Context, q TopicsQuery) ([]TopicRow, error) {
	if err := q.check(); err != nil {
		return nil, err
	}
	topics := e.candidates(&q)
	if q.Sort == SortLag {
		behind, err := e.lagging(ctx, &q)
		if err != nil {
			return nil, err
		}
		for _, t := range topics { // so that the page is full where few lag
			behind[t] += 0
		}
		topics = topics[:0]
		for t := range behind {
			topics = append(topics, t)
		}
	}
	rows, err := e.topicRows(ctx, topics)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(rows, func(a, b TopicRow) int { return q.compare(&a, &b) })
	return rows[:min(q.Limit, len(rows))], nil
}

func (q *TopicsQuery) compare(a, b *TopicRow) int {
	byCrowd := cmp.Or(cmp.Compare(b.Subscribers, a.Subscribers), cmp.Compare(a.Name, b.Name))
	switch q.Sort {
	case SortLag:
		return cmp.Or(cmp.Compare(b.LagBytes, a.LagBytes), cmp.Compare(b.Lagging, a.Lagging), byCrowd)
	case SortRate:
		return cmp.Or(cmp.Compare(b.Rate, a.Rate), byCrowd)
	}
	return byCrowd
}

// candidates returns the first topics by subscribers or by rate.
func (e *Engine) candidates(q *TopicsQuery) []*Topic {
	best, i := newTop[*Topic](q.Limit), ID(0)
	look := func(t *Topic) {
		if !q.match(t) {
			return
		}
		key := uint64(t.subscribers())
		if q.Sort == SortRate {
			_, rate := t.traffic()
			key = math.Float64bits(rate) // in the order of the numbers, as none is negative
		}
		i++
		if at := best.offer(rank{^key, i}); at != nil {
			*at = t
		}
	}
	if q.Name != "" {
		if t := e.topics.find(q.Name); t != nil {
			look(t)
		}
	} else {
		for _, t := range e.topics.all() {
			look(t)
		}
	}
	topics := make([]*Topic, len(best.heap))
	for i, r := range best.heap {
		topics[i] = *r.value
	}
	return topics
}

// lagging returns the topics with laggards that are farthest behind, on each loop as
// many as asked for, and by how many bytes.
func (e *Engine) lagging(ctx context.Context, q *TopicsQuery) (map[*Topic]int, error) {
	tops := make([]top[*Topic], len(e.loops))
	for i := range tops {
		tops[i] = newTop[*Topic](q.Limit * outfits) // a topic may have a lane for each
	}
	_, err := e.onLoops(ctx, e.loops, func(l *loop) *walk {
		lanes, best := slices.Clone(l.lag.lanes), &tops[l.index]
		return &walk{end: len(lanes), visit: func(i int) int {
			if ln := lanes[i]; ln.lagging > 0 && q.match(ln.local.topic) {
				if at := best.offer(rank{^uint64(ln.lagBytes()), ID(i)}); at != nil {
					*at = ln.local.topic
				}
			}
			return costLook
		}}
	})
	behind := map[*Topic]int{}
	if err != nil {
		return behind, err
	}
	for i := range tops {
		for _, r := range tops[i].heap {
			behind[*r.value] = max(behind[*r.value], int(^r.key))
		}
	}
	return behind, nil
}

// lagBytes is what the farthest of the lane's laggards has not had, at the last look.
func (ln *lane) lagBytes() int {
	if ln.lagging == 0 || ln.floor < ln.log.base {
		return 0
	}
	return int(ln.log.head() - ln.floor)
}

// topicPart is what one loop knows of a topic.
type topicPart struct{ subs, logBytes, lagging, lagBytes int }

// topicRows asks the loops about topics, and leaves out those without subscribers.
func (e *Engine) topicRows(ctx context.Context, topics []*Topic) ([]TopicRow, error) {
	parts := make([][]topicPart, len(e.loops))
	for i := range parts {
		parts[i] = make([]topicPart, len(topics))
	}
	_, err := e.onLoops(ctx, e.loops, func(l *loop) *walk {
		mine := parts[l.index]
		return &walk{end: len(topics), visit: func(i int) int {
			h := topics[i].here[l.index]
			if h == nil {
				return costNothing
			}
			mine[i].subs = h.subs
			for ln := h.lanes; ln != nil; ln = ln.sibling {
				mine[i].logBytes += len(ln.log.buf) - ln.log.start
				mine[i].lagging += ln.lagging
				mine[i].lagBytes = max(mine[i].lagBytes, ln.lagBytes())
			}
			return costLook
		}}
	})
	if err != nil {
		return nil, err
	}
	var rows []TopicRow
	for i, t := range topics {
		row := TopicRow{Name: t.name, Loops: make([]int, len(e.loops)), Congested: t.congested.Load() > 0}
		for l := range e.loops {
			row.add(l, &parts[l][i])
		}
		if row.Subscribers > 0 {
			row.Skew = float64(slices.Max(row.Loops)*len(e.loops)) / float64(row.Subscribers)
			row.Messages, row.Rate = t.traffic()
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// add adds what a loop knows of the topic.
func (row *TopicRow) add(loop int, part *topicPart) {
	row.Loops[loop] = part.subs
	row.Subscribers += part.subs
	row.LogBytes += part.logBytes
	row.Lagging += part.lagging
	row.LagBytes = max(row.LagBytes, part.lagBytes)
}

// subscribers counts them, on all loops. Any goroutine.
func (t *Topic) subscribers() (n int) {
	for i := range t.worn {
		n += int(t.worn[i].Load())
	}
	return n
}

// traffic returns how many messages were published, and how many a second of late.
// Any goroutine.
func (t *Topic) traffic() (messages uint64, rate float64) {
	now := t.engine.clock()
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.said.count, t.said.rate(now)
}

// topicsAtOnce is how many topics are copied out of a shard under its lock: about
// ten microseconds, for which whoever joins or leaves may have to wait.
const topicsAtOnce = 512

// all lists the topics. One that is there all the time is listed once: that is what
// Go says of a map that changes while it is ranged over.
func (r *registry) all() []*Topic {
	list := make([]*Topic, 0, r.count.Load())
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		for _, t := range s.topics {
			list = append(list, t)
			if len(list)%topicsAtOnce == 0 {
				s.mu.Unlock()
				runtime.Gosched()
				s.mu.Lock()
			}
		}
		s.mu.Unlock()
	}
	return list
}
