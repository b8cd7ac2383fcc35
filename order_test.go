package main

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/gorilla/websocket"
)

// Several people talk at once, on both loops, while others listen, come and go: all hear the same in the same order, each from when they came.
func TestOneOrderForAll(t *testing.T) {
	const speakers, listeners, lines = 4, 12, 250
	n := startNode(t, "--loops", "2")
	var members []*member
	for range speakers + listeners {
		members = append(members, join(t, n.url("/rooms/order")))
	}
	stranger := join(t, n.url("/rooms/other"))

	var talking sync.WaitGroup
	for i := range speakers {
		talking.Go(func() {
			for line := range lines {
				what := said{websocket.TextMessage + line%2, fmt.Sprintf("speaker %d line %d", i, line)}
				if err := members[i].ws.WriteMessage(what.kind, []byte(what.body)); err != nil {
					t.Errorf("speaker %d: %v", i, err)
					return
				}
			}
		})
	}
	members[0].count(lines / 2)
	late := join(t, n.url("/rooms/order"))
	members[speakers].leave()
	members[speakers+1].cut()
	talking.Wait()

	all := members[0].count(speakers * lines)
	for i, m := range slices.Delete(members, speakers, speakers+2) {
		m.count(speakers * lines)
		if got := m.all(); !slices.Equal(got, all) {
			t.Errorf("member %d heard %d messages, not those of member 0, which are %d", i, len(got), len(all))
		}
	}
	inTheirOrder(t, all, speakers, lines)
	// Nothing is missing from what the latecomer heard once it began.
	members[0].say(text("the end"))
	for heard := 0; ; heard++ {
		if got := late.count(heard + 1); got[heard] == text("the end") {
			if !slices.Equal(got[:heard], all[len(all)-heard:]) {
				t.Errorf("the latecomer heard %d messages that are not the last ones", heard)
			}
			break
		}
	}
	if got := stranger.all(); len(got) > 0 {
		t.Errorf("in another room: %q", got)
	}
}

// inTheirOrder checks that all that was said was heard, each speaker's lines as they were spoken, in the kind they were sent.
func inTheirOrder(t *testing.T, heard []said, speakers, lines int) {
	t.Helper()
	next := make([]int, speakers)
	for at, what := range heard {
		var speaker, line int
		if _, err := fmt.Sscanf(what.body, "speaker %d line %d", &speaker, &line); err != nil || line != next[speaker] ||
			what.kind != websocket.TextMessage+line%2 {
			t.Fatalf("message %d is %q of kind %d", at, what.body, what.kind)
		}
		next[speaker]++
	}
	for speaker, n := range next {
		if n != lines {
			t.Errorf("speaker %d: %d lines of %d", speaker, n, lines)
		}
	}
}

// Whoever's upgrade has been answered is in the room: nothing that is said from then on passes them by, on whichever loop they are.
func TestWhoIsInHears(t *testing.T) {
	n := startNode(t, "--loops", "2")
	host := join(t, n.url("/"))
	for i := range 300 {
		guest := join(t, n.url("/"))
		what := text(fmt.Sprintf("welcome, number %d", i))
		host.say(what)
		guest.hears(what)
		guest.leave()
	}
}
