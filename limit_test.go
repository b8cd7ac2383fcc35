package main

import (
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// A thousand want in where there are descriptors for fewer: those inside chat on as if nothing were, the others are refused, and whoever leaves makes
// room for another.
func TestDescriptorLimit(t *testing.T) {
	const crowd, early, leaving = 1000, 20, 50
	n := startLimited(t, 256)
	if n.ceiling < early+leaving || n.ceiling >= 256 {
		t.Fatalf("it takes up to %d connections", n.ceiling)
	}
	var inside []*member
	for range early {
		inside = append(inside, join(t, n.url("/")))
	}
	stop := chatter(inside[0])
	more, refused := rush(t, n, crowd-early)
	inside = append(inside, more...)
	lines := stop()
	if len(inside) != n.ceiling || lines == 0 {
		t.Errorf("%d are inside of up to %d, and %d lines were said meanwhile", len(inside), n.ceiling, lines)
	}
	all := inside[0].count(lines)
	for i, m := range inside[:early] {
		if got := m.count(lines); !slices.Equal(got, all) {
			t.Errorf("member %d did not hear what member 0 heard", i)
		}
	}
	if f := n.figures(); f[`throng_handshake_failed_total{reason="ceiling"}`] != float64(refused) {
		t.Errorf("%v refusals are counted of %d", f[`throng_handshake_failed_total{reason="ceiling"}`], refused)
	}

	for _, m := range inside[len(inside)-leaving:] {
		m.leave()
	}
	inside = inside[:len(inside)-leaving]
	for end := time.Now().Add(patience); len(inside) < n.ceiling; {
		if m, _, err := tryJoin(t, n.url("/")); err == nil {
			inside = append(inside, m)
		} else if time.Now().After(end) {
			t.Fatalf("nobody gets in after %d have left: %v", leaving, err)
		}
	}
	last := text("is there room for me?")
	inside[len(inside)-1].say(last)
	for _, m := range inside {
		for heard := m.count(1); heard[len(heard)-1] != last; heard = m.count(len(heard) + 1) {
		}
	}
}

// startLimited starts a server that may have so many descriptors.
func startLimited(t *testing.T, descriptors int) *node {
	t.Helper()
	server := command(nil, withDefaults(t, nil)...)
	script := fmt.Sprintf(`ulimit -n %d && exec "$@"`, descriptors)
	limited := exec.Command("/bin/sh", append([]string{"-c", script, "sh"}, server.Args...)...)
	limited.Env, limited.SysProcAttr = server.Env, server.SysProcAttr
	return start(t, limited)
}

// rush has a crowd try to get in, and returns who did and how many were refused: by a 503 that says when to come back, or without a word.
func rush(t *testing.T, n *node, crowd int) (inside []*member, refused int) {
	t.Helper()
	var mu sync.Mutex
	told := 0
	doors := make(chan struct{}, 64)
	var trying sync.WaitGroup
	for range crowd {
		doors <- struct{}{}
		trying.Go(func() {
			defer func() { <-doors }()
			m, res, err := tryJoin(t, n.url("/"))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				inside = append(inside, m)
				return
			case res == nil:
			case res.StatusCode == http.StatusServiceUnavailable && isPositive(res.Header.Get("Retry-After")):
				told++
			default:
				t.Errorf("refused with %s, Retry-After %q", res.Status, res.Header.Get("Retry-After"))
			}
			refused++
		})
	}
	trying.Wait()
	if told == 0 {
		t.Errorf("of %d that were refused nobody was told to come back", refused)
	}
	return inside, refused
}

// chatter has somebody talk until stop is called, which returns how many lines it was.
func chatter(m *member) (stop func() int) {
	quit, done, lines := make(chan struct{}), make(chan struct{}), 0
	go func() {
		defer close(done)
		for {
			select {
			case <-quit:
				return
			case <-time.After(5 * time.Millisecond):
			}
			if m.ws.WriteMessage(websocket.TextMessage, []byte("line "+strconv.Itoa(lines))) != nil {
				return
			}
			lines++
		}
	}()
	return func() int {
		close(quit)
		<-done
		return lines
	}
}

func isPositive(number string) bool {
	n, err := strconv.Atoi(number)
	return err == nil && n > 0
}
