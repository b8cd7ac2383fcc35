package engine

import (
	"testing"
	"time"
)

// TestUserTimeout: a lost keepalive probe ends nobody, since the kernel holds probes to the same limit as data.
func TestUserTimeout(t *testing.T) {
	const s = time.Second
	for _, c := range []struct{ user, keep, ping, want time.Duration }{
		{30 * s, 60 * s, 25 * s, 30 * s}, // pings come first
		{30 * s, 60 * s, 0, 120 * s},
		{30 * s, 60 * s, 60 * s, 120 * s},
		{300 * s, 60 * s, 0, 300 * s},
		{30 * s, 0, 0, 30 * s},
		{0, 60 * s, 0, 0}, // the kernel counts probes then
		{s, 2 * s, 0, 6 * s},
	} {
		cfg := Config{UserTimeout: c.user, KeepAlive: c.keep, Limits: Limits{PingInterval: c.ping}}
		if got := cfg.userTimeout(); got != c.want {
			t.Errorf("user timeout %v, keepalive %v, pings %v: %v, want %v", c.user, c.keep, c.ping, got, c.want)
		}
	}
}
