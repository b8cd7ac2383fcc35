package broker

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	logLinesMax   = 20 // a second; the rest is counted
	logLineLength = 512
)

// limitedLog is a log that a broken network or disk cannot flood.
type limitedLog struct {
	to *slog.Logger

	mu     sync.Mutex
	second time.Time
	lines  int
	left   int
}

func newLimitedLog(to *slog.Logger) *limitedLog {
	return &limitedLog{to: to}
}

// Debug logs what only who looks for something wants to see.
func (l *limitedLog) Debug(text string, attributes ...slog.Attr) {
	l.write(slog.LevelDebug, text, attributes)
}

// Info logs what is good to know.
func (l *limitedLog) Info(text string, attributes ...slog.Attr) {
	l.write(slog.LevelInfo, text, attributes)
}

// Warn logs what somebody may have to do something about.
func (l *limitedLog) Warn(text string, attributes ...slog.Attr) {
	l.write(slog.LevelWarn, text, attributes)
}

// Error logs what is broken.
func (l *limitedLog) Error(text string, attributes ...slog.Attr) {
	l.write(slog.LevelError, text, attributes)
}

func (l *limitedLog) write(level slog.Level, text string, attributes []slog.Attr) {
	l.mu.Lock()
	now := time.Now()
	if now.Sub(l.second) >= time.Second {
		l.second, l.lines = now, 0
	}
	if l.lines++; l.lines > logLinesMax {
		l.left++
		l.mu.Unlock()
		return
	}
	left := l.left
	l.left = 0
	l.mu.Unlock()
	if left > 0 {
		attributes = append(attributes, slog.Int("left_out_before", left))
	}
	l.to.LogAttrs(context.Background(), level, text, attributes...)
}

// serverLog is how the embedded server logs. What it says about its ordinary life is left out.
type serverLog struct{ to *limitedLog }

func (s serverLog) line(level slog.Level, format string, values []any) {
	text := strings.ToValidUTF8(fmt.Sprintf(format, values...), "?")
	if len(text) > logLineLength {
		text = text[:logLineLength]
	}
	s.to.write(level, "embedded NATS server", []slog.Attr{slog.String("says", text)})
}

func (s serverLog) Noticef(string, ...any) {}
func (s serverLog) Debugf(string, ...any)  {}
func (s serverLog) Tracef(string, ...any)  {}

func (s serverLog) Warnf(format string, values ...any)  { s.line(slog.LevelWarn, format, values) }
func (s serverLog) Errorf(format string, values ...any) { s.line(slog.LevelError, format, values) }
func (s serverLog) Fatalf(format string, values ...any) { s.line(slog.LevelError, format, values) }
