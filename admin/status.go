package admin

import "time"

// Status is how a server is.
type Status struct {
	Node     string   `json:"node"`     // the name of the machine
	Instance string   `json:"instance"` // of this process, other after a restart
	PID      int      `json:"pid"`
	Listen   []string `json:"listen"`
	Versions Versions `json:"versions"`

	Started time.Time `json:"started"`
	Uptime  Seconds   `json:"uptime_seconds"`
	Ready   bool      `json:"ready"`
	Why     string    `json:"why,omitempty"` // it is not ready

	Connections Connections `json:"connections"`
	Rates       Rates       `json:"rates"`
	Lag         Lag         `json:"lag"`
	Memory      Memory      `json:"memory"`
	GC          GC          `json:"gc"`
	Loops       []Loop      `json:"loops"`

	Drain *Progress `json:"drain,omitempty"`
	Shed  *Progress `json:"shed,omitempty"`
	// Restart names the settings that were read anew and are not in force before a restart.
	Restart []string `json:"needs_restart,omitempty"`
}

// Versions are those of a server.
type Versions struct {
	Throng string `json:"throng"`
	Go     string `json:"go"`
	Gnet   string `json:"gnet,omitempty"`
}

// Connections counts them.
type Connections struct {
	Open     int `json:"open"`
	Accepted int `json:"accepted"` // from accept to their end, open or not
	Ceiling  int `json:"ceiling"`
	Lagging  int `json:"lagging"`
	Paused   int `json:"paused"`
	Rooms    int `json:"rooms"`
}

// Rates are per second, over the last seconds.
type Rates struct {
	Over       Seconds `json:"over_seconds"` // 0: it has just started
	Accepts    float64 `json:"accepts"`
	Handshakes float64 `json:"handshakes"` // that became connections
	Closes     float64 `json:"closes"`
	Messages   float64 `json:"messages"`
	Deliveries float64 `json:"deliveries"`
	BytesIn    float64 `json:"received_bytes"`
	BytesOut   float64 `json:"sent_bytes"`
}

// Lag is how late the server is.
type Lag struct {
	Loop    Seconds `json:"loop_seconds"`          // of the latest loop's last tick
	LoopMax Seconds `json:"loop_max_seconds"`      // of the last seconds
	Oldest  Seconds `json:"oldest_unsent_seconds"` // age of the oldest byte that somebody has not taken
}

// Memory is what the process uses.
type Memory struct {
	InUse      int64 `json:"in_use_bytes"`
	Mark       int64 `json:"mark_bytes"`         // from which newcomers are refused; 0: none
	Buffers    int64 `json:"buffer_bytes"`       // logs and buffers
	BuffersMax int64 `json:"buffer_limit_bytes"` // 0: none
}

// GC is what collecting garbage costs.
type GC struct {
	Cycles    int64   `json:"cycles"`
	CPU       float64 `json:"cpu_share"`          // of the process's CPU time, 0 to 1
	LastPause Seconds `json:"last_pause_seconds"` // for which everything stood still
	Heap      int64   `json:"heap_bytes"`
}

// Loop is how one event loop is.
type Loop struct {
	Open    int     `json:"open"`
	Lagging int     `json:"lagging"`
	Paused  int     `json:"paused"`
	Lag     Seconds `json:"lag_seconds"`
	LagMax  Seconds `json:"lag_max_seconds"`
	Blocked bool    `json:"blocked"`
}
