package engine_test

import (
	"testing"
	"time"

	"throng/engine"
)

// Who watches from outside sees a blocked loop, as long as it is blocked.
func TestSilence(t *testing.T) {
	const long = 500 * time.Millisecond
	release := make(chan struct{})
	r := start(t, &script{message: func(_ *engine.Conn, text string) bool {
		if text == "hold" {
			<-release
		}
		return false
	}})
	p := r.join()
	p.say("before")
	p.hears("before")
	if !eventually(func() bool { return r.e.Silence() < long }) {
		t.Errorf("silent for %v, and nothing is blocked", r.e.Silence())
	}
	p.say("hold")
	blocked := eventually(func() bool { return r.e.Silence() > long })
	close(release)
	if !blocked {
		t.Errorf("silent for %v, and a loop is blocked", r.e.Silence())
	}
	p.hears("hold")
	if !eventually(func() bool { return r.e.Silence() < long }) {
		t.Errorf("silent for %v after the loop goes on", r.e.Silence())
	}
}
