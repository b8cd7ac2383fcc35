package engine

import "throng/protocol"

// frameLog is what a lane keeps of its stream of frames: the bytes from base
// to head, contiguous, so that whatever a subscriber has not had is one slice.
//
//	      base            cursor of a        passed          head
//	       │               laggard             │              │
//	stream ▼                  ▼                ▼              ▼
//	  ░░░░░├──────────────────┴────────────────┴──────────────┤
//	 gone  │◀──── kept for those who lag ─────▶│◀─── pass ────▶│
//	       ▲ marks: every few hundred frames, offset + count + time
//
// Positions count bytes since the lane began and never go back. When everybody
// has everything the buffer goes back to the loop's pool: an idle topic holds
// no bytes.
type frameLog struct {
	buf    []byte // buf[start:] is the stream from base to head
	start  int
	base   uint64
	frames uint64 // frames ever appended
	marks  []mark // ascending; the first is at base
}

// mark pins a position of the stream to the count of frames before it and to
// the time it was appended.
type mark struct {
	at     uint64
	frames uint64
	nanos  int64
}

const (
	// markEveryFrames and markEveryNanos are how far apart marks stand: fine
	// enough for the age and the count of what a laggard has not had, coarse
	// enough to cost nothing.
	markEveryFrames = 256
	markEveryNanos  = 50e6
)

func (g *frameLog) head() uint64 { return g.base + uint64(len(g.buf)-g.start) }

// since returns the stream from a position on. The position must lie between
// base and head; the slice is valid until the next append or trim.
func (g *frameLog) since(at uint64) []byte { return g.buf[g.start+int(at-g.base):] }

// append adds one frame. Buffers come from and go back to the pool.
func (g *frameLog) append(p *bufferPool, frame []byte, now int64) {
	if n := len(g.marks); n == 0 || g.frames-g.marks[n-1].frames >= markEveryFrames || now-g.marks[n-1].nanos >= markEveryNanos {
		g.marks = append(g.marks, mark{g.head(), g.frames, now})
	}
	g.frames++
	if len(g.buf)+len(frame) > cap(g.buf) {
		g.makeRoom(p, len(frame))
	}
	g.buf = append(g.buf, frame...)
}

// makeRoom slides the stream to the front of its buffer when at least half of
// that is free, else moves it to a buffer twice the size.
func (g *frameLog) makeRoom(p *bufferPool, n int) {
	live := len(g.buf) - g.start
	if live+n <= cap(g.buf)/2 {
		copy(g.buf, g.buf[g.start:])
		g.buf, g.start = g.buf[:live], 0
		return
	}
	next := p.get(2 * (live + n))
	next = append(next, g.buf[g.start:]...)
	p.put(g.buf)
	g.buf, g.start = next, 0
}

// trim lets go of everything before a position, which must be at the border of
// a frame, and of the buffer when nothing is left.
func (g *frameLog) trim(p *bufferPool, to uint64) {
	if to == g.head() {
		p.put(g.buf)
		g.buf, g.start, g.base = nil, 0, to
		g.marks = g.marks[:0]
		return
	}
	frames := g.framesBefore(to)
	keep := 0
	for keep+1 < len(g.marks) && g.marks[keep+1].at <= to {
		keep++
	}
	g.marks = g.marks[:copy(g.marks, g.marks[keep:])]
	g.marks[0].at, g.marks[0].frames = to, frames
	g.start += int(to - g.base)
	g.base = to
}

// markAt returns the last mark at or before a position.
func (g *frameLog) markAt(at uint64) mark {
	lo, hi := 0, len(g.marks)
	for lo+1 < hi {
		if mid := (lo + hi) / 2; g.marks[mid].at <= at {
			lo = mid
		} else {
			hi = mid
		}
	}
	return g.marks[lo]
}

// framesBefore counts the frames ever appended before a position, which must be
// at the border of a frame: the nearest mark, and a walk from there.
func (g *frameLog) framesBefore(at uint64) uint64 {
	if at == g.head() {
		return g.frames
	}
	m := g.markAt(at)
	for pos := m.at; pos < at; m.frames++ {
		pos += uint64(protocol.FrameLen(g.since(pos)))
	}
	return m.frames
}

// frameEnd returns the end of the frame that holds the byte before position at,
// walking from a frame's border.
func (g *frameLog) frameEnd(border, at uint64) uint64 {
	for border < at {
		border += uint64(protocol.FrameLen(g.since(border)))
	}
	return border
}
