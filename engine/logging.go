package engine

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"throng/protocol"
)

// Lines about single connections are written at debug level only: there is none
// in normal operation. Even then each class of them is limited, so that nobody
// can fill a disk by connecting, and what a client chose is cut; quoting it is
// up to the slog.Handler.

const (
	// linesPerSecond of one class; what is left out is counted.
	linesPerSecond = 100
	// loggedBytesMax is how much is logged of a value that a client chose.
	loggedBytesMax = 128
)

// logClass limits the lines of one kind. Any goroutine.
type logClass struct {
	second     atomic.Int64 // that lines were last counted in
	lines      atomic.Int64 // in that second
	suppressed atomic.Uint64
}

// admits reports whether one more line may be written, at a time in nanoseconds.
func (k *logClass) admits(now int64) bool {
	if s := now / int64(time.Second); k.second.Swap(s) != s {
		k.lines.Store(0)
	}
	if k.lines.Add(1) <= linesPerSecond {
		return true
	}
	k.suppressed.Add(1)
	return false
}

// debugs reports whether such lines are wanted, which may change while it runs.
func (e *Engine) debugs() bool { return e.cfg.Logger.Enabled(context.Background(), slog.LevelDebug) }

// logEnd writes a line about an end.
func (e *Engine) logEnd(c *Conn) {
	if c.reason != ReasonProbe && e.debugs() && e.endLines.admits(nanotime()) {
		e.cfg.Logger.Debug("connection ended", slog.String("reason", c.reason.String()), slog.String("remote", c.RemoteAddr().String()))
	}
}

// logRefusal writes a line about a refused request: where it was wrong, not what
// it said, but for an Origin, which the operator may have forgotten to list.
func (e *Engine) logRefusal(c *Conn, he *protocol.HandshakeError) {
	if !e.debugs() || !e.refusalLines.admits(nanotime()) {
		return
	}
	attrs := []any{slog.String("reason", he.Label), slog.Int("status", he.Status), slog.String("field", he.Field), slog.String("remote", c.RemoteAddr().String())}
	if he == protocol.ErrOrigin {
		origin := c.loop.request.Origin
		attrs = append(attrs, slog.String("origin", string(origin[:min(len(origin), loggedBytesMax)])))
	}
	e.cfg.Logger.Debug("request refused", attrs...)
}

// gnetLogger counts gnet's warnings and errors and drops them: they come per
// connection and say nothing that our own reasons do not.
type gnetLogger struct{ warnings atomic.Uint64 }

func (*gnetLogger) Debugf(string, ...any)   {}
func (*gnetLogger) Infof(string, ...any)    {}
func (g *gnetLogger) Warnf(string, ...any)  { g.warnings.Add(1) }
func (g *gnetLogger) Errorf(string, ...any) { g.warnings.Add(1) }
func (g *gnetLogger) Fatalf(string, ...any) { g.warnings.Add(1) }
