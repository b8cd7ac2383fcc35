package web_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/gorilla/websocket"
)

// TestPage drives the page in Chromium as people do. One browser serves all of it.
func TestPage(t *testing.T) {
	b := browser(t)
	for _, c := range []struct {
		name string
		test func(*testing.T, context.Context)
	}{
		{"two windows chat", twoWindowsChat},
		{"text is shown as text", textIsText},
		{"the policy holds and is not needed", policyHolds},
		{"a restart is waited for", restartIsWaitedFor},
		{"a server that is gone", serverGone},
		{"another network", anotherNetwork},
		{"idle until the user is back", idle},
		{"too fast", tooFast},
		{"rooms", rooms},
		{"many lines", manyLines},
		{"the client's arithmetic", arithmetic},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, b) })
	}
}

func twoWindowsChat(t *testing.T, b context.Context) {
	h := newHall(t)
	ann, bob := openWindow(t, b, h.url("/")), openWindow(t, b, h.url("/"))
	ann.untilState("online")
	bob.untilState("online")
	ann.say("Is anybody here?")
	bob.untilShown("Is anybody here?")
	bob.say("I am")
	ann.untilShown("I am")
	bob.untilShown("I am")
	if got := ann.text("[...document.querySelectorAll('.mine p')].map((p) => p.textContent)"); got != "Is anybody here?" {
		t.Errorf("ann's own: %q", got)
	}
	if got := bob.text("[...document.querySelectorAll('.mine p')].map((p) => p.textContent)"); got != "I am" {
		t.Errorf("bob's own: %q", got)
	}
	if !ann.is("text.value === ''") {
		t.Error("the field keeps what was sent")
	}
	ann.say("   ") // says nothing
	ann.run(chromedp.SetValue(chromedp.CSS("#text"), "two\nlines"))
	ann.say("")
	bob.untilShown("two\nlines")
	if n := bob.text("document.querySelectorAll('.line').length"); n != "3" {
		t.Errorf("%s lines", n)
	}
}

func textIsText(t *testing.T, b context.Context) {
	h := newHall(t)
	w := openWindow(t, b, h.url("/"))
	w.untilState("online")
	evil := `<img src=x onerror="document.hit=1"><script>document.hit=1</script><b>&lt;</b>`
	h.say("/", websocket.TextMessage, []byte(evil))
	h.say("/", websocket.BinaryMessage, []byte("<b>12"))
	h.say("/", websocket.TextMessage, nil)
	w.untilShown(evil)
	w.untilShown("[binary, 5 bytes]")
	w.untilShown("")
	if w.is("log.querySelector('img, script, b') || document.hit") {
		t.Errorf("markup came to life: %s", w.text("log.outerHTML"))
	}
	if said := w.console(); said != "" {
		t.Errorf("console: %s", said)
	}
}

func policyHolds(t *testing.T, b context.Context) {
	h := newHall(t)
	w := openWindow(t, b, h.url("/"))
	w.untilState("online")
	w.say("hello")
	w.untilShown("hello")
	if said := w.console(); said != "" {
		t.Errorf("console: %s", said)
	}
	// And it bites: the same console shows what is refused.
	for _, try := range []string{
		`document.body.innerHTML = "<p>markup</p>"`,
		`document.body.append(Object.assign(new Image(), { src: "http://127.0.0.2:1/x.png" }))`,
		`document.body.setAttribute("style", "color: red")`,
		`setTimeout("document.hit = 1")`,
		`new WebSocket("ws://127.0.0.2:1/")`,
	} {
		before := len(w.console())
		w.do("try { " + try + " } catch {}")
		for end := time.Now().Add(patience); len(w.console()) == before; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("nothing was said of %s", try)
			}
		}
	}
	if w.is("document.hit") {
		t.Error("text was run")
	}
}

func restartIsWaitedFor(t *testing.T, b context.Context) {
	h := newHall(t)
	w := openWindow(t, b, h.url("/rooms/east"))
	w.untilState("online")
	h.arrival()
	w.typeIn("#text", "half a sen")
	closed := h.dismiss(websocket.CloseGoingAway, "restart; reconnect in 700 ms")
	w.untilState("restarting")
	back := h.arrival()
	if waited := back.at.Sub(closed); waited < 700*time.Millisecond || waited > 5*time.Second {
		t.Errorf("back after %v, want 700ms", waited)
	}
	if back.path != "/rooms/east" {
		t.Errorf("back in %s", back.path)
	}
	w.untilState("online")
	w.say("tence")
	w.untilShown("half a sentence")
}

func serverGone(t *testing.T, b context.Context) {
	h := newHall(t)
	w := openWindow(t, b, h.url("/"))
	w.untilState("online")
	h.arrival()
	h.shut()
	w.untilState("offline")
	w.say("kept")
	if !w.is("text.value === 'kept'") {
		t.Errorf("the field has %q", w.text("text.value"))
	}
	w.until("/^: retry in \\d+ s$/.test(wait.textContent) && !retry.hidden")
	h.open()
	h.arrival()
	w.untilState("online")
	w.say("")
	w.untilShown("kept")
	if !w.is("log.textContent.includes('What was said meanwhile is not shown')") {
		t.Error("the gap is not told")
	}
}

// A page that went from one network to another has a connection that looks alive and is not.
func anotherNetwork(t *testing.T, b context.Context) {
	h := newHall(t)
	w := openWindow(t, b, h.url("/"))
	w.untilState("online")
	h.arrival()
	w.do("dispatchEvent(new Event('online'))")
	w.say("still the first")
	w.untilShown("still the first")
	h.nobody()
	w.do("dispatchEvent(new Event('offline')); dispatchEvent(new Event('online'))")
	h.arrival()
	w.untilState("online")
	w.say("the second")
	w.untilShown("the second")
}

func idle(t *testing.T, b context.Context) {
	h := newHall(t)
	w := openWindow(t, b, h.url("/"))
	w.untilState("online")
	h.arrival()
	h.dismiss(4408, "idle")
	w.untilState("let go")
	// A first backoff would be over after a second at most.
	time.Sleep(1200 * time.Millisecond)
	h.nobody()
	w.typeIn("#text", "I")
	h.arrival()
	w.untilState("online")
	w.say(" am back")
	w.untilShown("I am back")
}

func tooFast(t *testing.T, b context.Context) {
	h := newHall(t)
	w := openWindow(t, b, h.url("/"))
	w.untilState("online")
	h.arrival()
	h.setDeaf(true)
	w.say("one too many")
	closed := h.dismiss(4429, "rate")
	w.untilState("too fast")
	if !w.is("text.value === 'one too many'") {
		t.Errorf("the field has %q", w.text("text.value"))
	}
	h.setDeaf(false)
	if waited := h.arrival().at.Sub(closed); waited < 2*time.Second {
		t.Errorf("back after %v", waited)
	}
	w.untilState("online")
	w.say("")
	w.untilShown("one too many")
}

func rooms(t *testing.T, b context.Context) {
	h := newHall(t)
	w := openWindow(t, b, h.url("/rooms/%E8%81%8A%E5%A4%A9"))
	if j := h.arrival(); j.path != "/rooms/聊天" {
		t.Errorf("joined %s", j.path)
	}
	w.until("room.value === '聊天'")
	w.say("only here")
	w.untilShown("only here")
	change := func(name string) {
		w.run(chromedp.SetValue(chromedp.CSS("#room"), name))
		w.typeIn("#room", kb.Enter)
	}
	for name, path := range map[string]string{"a:b~c": "/rooms/a:b~c", "lobby": "/", "Straße": "/rooms/Straße"} {
		change(name)
		if j := h.arrival(); j.path != path {
			t.Errorf("%s: joined %s", name, j.path)
		}
		w.untilState("online")
		if !w.is("decodeURIComponent(location.pathname) === '" + path + "' && log.textContent.includes('Nothing has been said')") {
			t.Errorf("%s: %s shows %s", name, w.text("location.pathname"), w.text("log.textContent"))
		}
	}
	for _, bad := range []string{"@bob", "a b", "a/b", "..", strings.Repeat("ß", 33)} {
		change(bad)
		if w.is("room.validity.valid") {
			t.Errorf("%q is taken for a name", bad)
		}
	}
	h.nobody()
	w.run(chromedp.NavigateBack())
	h.arrival()
	w.untilState("online")
	if w.is("location.pathname === '/rooms/%40bob'") {
		t.Error("a refused name got into the history")
	}
}

func manyLines(t *testing.T, b context.Context) {
	h := newHall(t)
	w := openWindow(t, b, h.url("/"))
	w.untilState("online")
	for i := range 1500 {
		h.say("/", websocket.TextMessage, []byte("line "+strconv.Itoa(i)))
	}
	w.untilShown("line 1499")
	const atEnd = "log.scrollHeight - log.scrollTop - log.clientHeight < 2"
	if n := w.text("log.childElementCount"); n != "1000" || !w.is(atEnd) {
		t.Errorf("%s lines, at the end: %v", n, w.is(atEnd))
	}
	w.do("log.scrollTop = 5000")
	w.until("log.scrollTop === 5000")
	w.run(chromedp.Sleep(50 * time.Millisecond)) // the scroll event comes with a frame
	h.say("/", websocket.TextMessage, []byte("unseen"))
	w.until("!newer.hidden && newer.textContent === '1 new message ↓'")
	if w.is(atEnd) {
		t.Error("the reader was torn away")
	}
	w.run(chromedp.Click(chromedp.CSS("#newer")))
	w.until(atEnd + " && newer.hidden")
	long := strings.Repeat("x", 60_000)
	for i := range 40 {
		h.say("/", websocket.TextMessage, fmt.Appendf(nil, "%02d%s", i, long))
	}
	w.until("log.lastElementChild.textContent.startsWith('39')")
	if n, _ := strconv.Atoi(w.text("log.textContent.length")); n > 1<<20+100_000 {
		t.Errorf("%d characters kept", n)
	}
}

func arithmetic(t *testing.T, b context.Context) {
	h := newHall(t)
	w := openWindow(t, b, h.url("/"))
	w.untilState("online")
	w.do("import('/throng.js').then((m) => { globalThis.m = m; })")
	w.until("globalThis.m")
	for expr, want := range map[string]string{
		"m.backoff(0, () => 0)":                             "0",
		"m.backoff(0, () => 1)":                             "1000",
		"m.backoff(3, () => 1)":                             "8000",
		"m.backoff(5, () => 1)":                             "30000",
		"m.backoff(5000, () => 0.5)":                        "15000",
		"m.turn(1001, 'restart; reconnect in 700 ms')":      "700",
		"m.turn(1001, 'rebalance; reconnect in 700 ms')":    "700",
		"m.turn(1001, 'restart; reconnect in 0 ms')":        "0",
		"m.turn(1001, 'restart; reconnect in 1e9 ms')":      "-1",
		"m.turn(1001, 'restart; reconnect in -5 ms')":       "-1",
		"m.turn(1001, 'restart')":                           "-1",
		"m.turn(1006, '')":                                  "-1",
		"m.turn(1000, 'restart; reconnect in 700 ms')":      "-1",
		"m.turn(1001, 'restart; reconnect in 99999999 ms')": "600000",
	} {
		if got := w.text(expr); got != want {
			t.Errorf("%s = %s, want %s", expr, got, want)
		}
	}
}
