package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestTwoWindows: two people chat in Chromium through two of three nodes behind HAProxy. One of these nodes is killed while they do, and nothing is lost on
// their pages, nothing shown twice, and both show the same.
func TestTwoWindows(t *testing.T) {
	b := browser(t)
	c := startCluster(t, 3, "--proxy-protocol", "optional", "--proxy-trust", "127.0.0.1")
	var addrs []string
	for _, n := range c.nodes {
		addrs = append(addrs, n.addrs[0])
	}
	proxy := startHAProxy(t, addrs)
	for _, name := range serverNames {
		proxy.becomes(name, "UP")
	}
	// Each window has a profile of its own, or they would be one guest.
	var windows []*tab
	for range 2 {
		w := openTab(t, b, &node{addrs: []string{proxy.addr}}, "/rooms/tea", chromedp.WithNewBrowserContext())
		w.untilState("online")
		windows = append(windows, w)
	}
	ann, bob := windows[0], windows[1]
	ann.say("before")
	bob.untilShown("before")
	dead := -1
	for i, n := range c.nodes {
		if n.figures()["throng_connections"] == 1 {
			dead = i
		}
	}
	if dead < 0 {
		t.Fatal("the windows are not on nodes of their own")
	}
	c.nodes[dead].kill()
	said := []string{"before"}
	for i := range 3 {
		for name, w := range map[string]*tab{"ann": ann, "bob": bob} {
			line := fmt.Sprintf("%s says %d", name, i)
			w.say(line)
			said = append(said, line)
		}
	}
	for _, w := range windows {
		for _, line := range said {
			w.untilShown(line)
		}
	}
	const shown = "[...document.querySelectorAll('.line p')].map((p) => p.textContent).join('|')"
	first, second := ann.text(shown), bob.text(shown)
	if first != second || strings.Count(first, "|") != len(said)-1 {
		t.Errorf("one window shows\n%s\nthe other\n%s", first, second)
	}
	for _, w := range windows {
		if w.is("document.body.innerText.includes('missing here')") {
			t.Error("a window shows a gap")
		}
	}
}
