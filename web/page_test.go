package web_test

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/gorilla/websocket"
)

// TestPage drives the page in Chromium as people do. One browser serves all of it; each window is another person's.
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
		{"an answer that was lost", answerLost},
		{"another network", anotherNetwork},
		{"idle until the user is back", idle},
		{"too fast, and kicked", tooFastAndKicked},
		{"rooms", rooms},
		{"history on scroll", historyOnScroll},
		{"direct messages", directMessages},
		{"typing", typing},
		{"a room that keeps nothing", nothingKept},
		{"what is missing is told", missingIsTold},
		{"what is refused is told", refusedIsTold},
		{"many lines", manyLines},
		{"a name", aName},
		{"by keyboard", byKeyboard},
		{"on a phone", onPhone},
		{"the client's arithmetic", arithmetic},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, b) })
	}
}

const lines = "[...document.querySelectorAll('.line.message p')].map((p) => p.textContent).join('|')"

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
	for w, own := range map[*window]string{ann: "Is anybody here?", bob: "I am"} {
		w.until("!document.querySelector('.pending, .fate')")
		if got := w.text("[...document.querySelectorAll('.mine p')].map((p) => p.textContent)"); got != own {
			t.Errorf("own: %q, want %q", got, own)
		}
		w.until("document.querySelectorAll('#people .person').length === 2 && about.textContent === '2 here'")
	}
	if !ann.is("text.value === ''") {
		t.Error("the field keeps what was sent")
	}
	ann.say("   ") // says nothing
	ann.run(chromedp.SetValue(chromedp.CSS("#text"), "two\nlines"))
	ann.say("")
	bob.untilShown("two\nlines")
	if got := bob.text(lines); got != "Is anybody here?|I am|two\nlines" {
		t.Errorf("bob has %q", got)
	}
}

func textIsText(t *testing.T, b context.Context) {
	h := newHall(t)
	w := openWindow(t, b, h.url("/"))
	w.untilState("online")
	w.until("people.children.length === 1")
	evil := `<img src=x onerror="document.hit=1"><script>document.hit=1</script><b>&lt;</b>`
	h.with(func() {
		h.add("lobby", frame{"user": evil, "name": evil, "text": evil})
		h.add("lobby", frame{"user": "x", "name": "X", "json": frame{"html": "<b>"}})
		h.add("lobby", frame{"user": "x", "name": "X", "data": "AAE="})
		h.add("lobby", frame{"user": "x", "name": "X", "text": ""})
		h.add("@~secret0", frame{"user": evil, "name": evil, "text": evil})
		h.tell("lobby", frame{"type": "presence", "room": "lobby", "count": 2, "joined": []frame{{"user": evil, "name": evil}}}, nil)
		h.tell("lobby", frame{"type": "signal", "room": "lobby", "user": evil, "name": evil, "json": frame{"typing": true}}, nil)
	})
	w.untilShown(evil)
	w.untilShown("{\n \"html\": \"<b>\"\n}")
	w.untilShown("[binary, 2 bytes]")
	w.untilShown("")
	w.until("typing.textContent.startsWith('<img') && people.textContent.includes('<img') && directs.textContent.includes('<img')")
	h.says("lobby", "Liz", "see http://example.org/a?b=<c>, or javascript:alert(1), https://x.test/(y). http://")
	w.until("log.textContent.includes('javascript:alert')")
	if got := w.text("[...log.querySelectorAll('a')].map((a) => [a.textContent, a.href, a.rel].join(' '))"); got !=
		"http://example.org/a?b= http://example.org/a?b= noopener noreferrer nofollow,https://x.test/(y https://x.test/(y noopener noreferrer nofollow" {
		t.Errorf("links: %s", got)
	}
	if w.is("document.querySelector('img:not([src=\"/throng.svg\"]), main script, main b, aside script') || document.hit") {
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
	closed := h.dismiss(websocket.CloseGoingAway, frame{"reason": "restart", "again": true, "in": 700})
	w.untilState("restarting")
	if waited := h.arrival().Sub(closed); waited < 700*time.Millisecond || waited > 5*time.Second {
		t.Errorf("back after %v, want 700ms", waited)
	}
	w.untilState("online")
	w.say("tence")
	w.untilShown("half a sentence")
	if h.kept("east") != `["half a sentence"]` {
		t.Errorf("kept: %s", h.kept("east"))
	}
}

func serverGone(t *testing.T, b context.Context) {
	h := newHall(t)
	w := openWindow(t, b, h.url("/"))
	w.untilState("online")
	h.arrival()
	h.shut()
	w.untilState("offline")
	w.say("kept")
	w.say("in this order")
	w.until("[...document.querySelectorAll('.pending p')].map((p) => p.textContent).join() === 'kept,in this order'")
	w.until("/^Next try in \\d+ s/.test(wait.textContent) && !retry.hidden && !banner.hidden")
	h.says("lobby", "Eve", "meanwhile")
	h.open()
	h.arrival()
	w.untilState("online")
	w.until("!document.querySelector('.pending, .fate') && banner.hidden")
	if got := w.text(lines); got != "meanwhile|kept|in this order" || h.kept("lobby") != `["meanwhile","kept","in this order"]` {
		t.Errorf("shown: %s, kept: %s", got, h.kept("lobby"))
	}
	if w.is("document.querySelector('.notice')") {
		t.Error("a gap is told that is none")
	}
}

// What the server had taken when the connection went is not there twice.
func answerLost(t *testing.T, b context.Context) {
	h := newHall(t)
	w := openWindow(t, b, h.url("/"))
	w.untilState("online")
	h.arrival()
	h.with(func() { h.deaf = true })
	w.say("once")
	sent := h.request("publish")
	h.shut()
	h.with(func() {
		h.deaf = false
		for g := range h.guests {
			h.add("lobby", frame{"user": g.user, "name": g.name, "key": sent["key"], "text": "once"})
		}
	})
	h.open()
	h.arrival()
	if again := h.request("publish"); again["key"] != sent["key"] {
		t.Errorf("sent again with another key: %v", again)
	}
	w.until("document.querySelectorAll('.line').length === 1 && !document.querySelector('.pending, .fate')")
	w.say("twice")
	w.untilShown("twice")
	if got := w.text(lines); got != "once|twice" || h.kept("lobby") != `["once","twice"]` {
		t.Errorf("shown: %s, kept: %s", got, h.kept("lobby"))
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
	h.dismiss(4408, nil)
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

func tooFastAndKicked(t *testing.T, b context.Context) {
	h := newHall(t)
	w := openWindow(t, b, h.url("/"))
	w.untilState("online")
	h.arrival()
	h.with(func() { h.deaf = true })
	w.say("one too many")
	closed := h.dismiss(4429, nil)
	w.untilState("too fast")
	h.with(func() { h.deaf = false })
	if waited := h.arrival().Sub(closed); waited < 2*time.Second {
		t.Errorf("back after %v", waited)
	}
	w.untilState("online")
	w.until("!document.querySelector('.pending')")
	h.dismiss(4403, frame{"reason": "enough of you", "again": false})
	w.untilState("refused")
	w.until("cause.textContent.includes('enough of you') && !retry.hidden")
	w.run(chromedp.Click(chromedp.CSS("#retry")))
	w.untilState("online")
}

func rooms(t *testing.T, b context.Context) {
	h := newHall(t)
	w := openWindow(t, b, h.url("/rooms/%E8%81%8A%E5%A4%A9"))
	w.untilState("online")
	w.until("title.textContent === '聊天'")
	w.say("only here")
	w.untilShown("only here")
	change := func(name string) {
		w.run(chromedp.SetValue(chromedp.CSS("#room"), name))
		w.typeIn("#room", kb.Enter)
	}
	for _, c := range [][2]string{{"a:b~c", "/rooms/a:b~c"}, {"#lobby", "/"}, {"Straße", "/rooms/Straße"}} {
		change(c[0])
		w.until("decodeURIComponent(location.pathname) === '" + c[1] + "' && title.textContent === '" + strings.TrimPrefix(c[0], "#") + "'")
		w.until("start.textContent.includes('where the room begins') && !document.querySelector('.line') && document.activeElement === text")
	}
	for _, bad := range []string{"@bob", "a b", "a/b", "..", strings.Repeat("ß", 33)} {
		change(bad)
		if w.is("room.validity.valid") {
			t.Errorf("%q is taken for a name", bad)
		}
	}
	w.do("room.value = ''")
	h.says("聊天", "Eve", "over there")
	h.says("聊天", "Eve", "and there")
	w.until("rooms.querySelector('[data-id=\"#聊天\"] .badge')?.textContent === '2' && document.title.startsWith('(2) #Straße')")
	w.run(chromedp.Click(chromedp.CSS("[data-id='#聊天']")))
	w.untilShown("and there")
	w.until("!rooms.querySelector('.badge') && document.querySelector('.fresh p').textContent === 'over there'")
	w.run(chromedp.NavigateBack())
	w.until("title.textContent === 'Straße' && decodeURIComponent(location.pathname) === '/rooms/Straße'")
	if got := w.text("[...rooms.querySelectorAll('.label')].map((e) => e.textContent)"); got != "聊天,a:b~c,lobby,Straße" {
		t.Errorf("rooms: %s", got)
	}
	w.do("[...document.querySelectorAll('.drop')].at(-1).click()")
	w.until("title.textContent === 'lobby' && rooms.children.length === 3")
	if f := h.request("leave"); f["room"] != "Straße" {
		t.Errorf("left %v", f)
	}
	w.run(chromedp.Reload())
	w.untilState("online")
	w.until("rooms.children.length === 3")
}

func historyOnScroll(t *testing.T, b context.Context) {
	h := newHall(t)
	for i := range 180 {
		h.says("lobby", "Eve", "line "+strconv.Itoa(i))
	}
	w := openWindow(t, b, h.url("/"))
	w.untilShown("line 179")
	w.until("log.scrollHeight - log.scrollTop - log.clientHeight < 2")
	if n, _ := strconv.Atoi(w.text("document.querySelectorAll('.line').length")); n != 50 {
		t.Errorf("%d lines to begin with", n)
	}
	w.do("log.scrollTop = 300") // not near enough
	w.do("globalThis.mark = [...document.querySelectorAll('.line')].find((l) => l.textContent.includes('line 140'))")
	w.do("log.scrollTop = 100; globalThis.before = mark.getBoundingClientRect().top")
	w.until("document.querySelectorAll('.line').length === 100")
	if moved, _ := strconv.ParseFloat(w.text("Math.abs(mark.getBoundingClientRect().top - before)"), 64); moved > 2 {
		t.Errorf("what is read moved by %v px", moved)
	}
	w.do("log.scrollTop = 0")
	w.until("document.querySelectorAll('.line').length === 180 || (log.scrollTop = 0)")
	w.until("start.textContent.includes('where the room begins')")
	var want []string
	for i := range 180 {
		want = append(want, "line "+strconv.Itoa(i))
	}
	if got := w.text(lines); got != strings.Join(want, "|") {
		t.Errorf("shown: %s", got)
	}
}

func directMessages(t *testing.T, b context.Context) {
	h := newHall(t)
	ann, bob := openWindow(t, b, h.url("/")), openWindow(t, b, h.url("/rooms/elsewhere"))
	ann.untilState("online")
	bob.untilState("online")
	other := openWindow(t, b, h.url("/"))
	other.untilState("online")
	bob.run(chromedp.Click(chromedp.CSS("#home")))
	ann.until("people.children.length === 3")
	bobs := bob.text("document.querySelector('#my-name').textContent")
	ann.do("[...people.querySelectorAll('.person')].find((p) => p.title === 'Write to " + bobs + "').click()")
	ann.until("title.textContent === '" + bobs + "' && document.activeElement === text")
	ann.say("psst")
	ann.untilShown("psst")
	bob.until("directs.querySelector('.badge')?.textContent === '1'")
	if bob.is("document.querySelector('.line')") {
		t.Error("it is in the room")
	}
	bob.run(chromedp.Click(chromedp.CSS("#directs .talk")))
	bob.untilShown("psst")
	bob.say("yes?")
	ann.untilShown("yes?")
	ann.say("nothing")
	bob.untilShown("nothing")
	for _, w := range []*window{ann, bob} {
		w.until("!document.querySelector('.pending, .fate, .badge:not(:empty)')")
		w.run(chromedp.Reload())
		w.until("globalThis.directs && directs.children.length === 1")
		w.untilShown("yes?")
		w.until(lines + " === 'psst|yes?|nothing'")
		w.until("!directs.querySelector('.badge')")
	}
	if other.is("directs.children.length || document.querySelector('.line')") {
		t.Error("somebody else has it too")
	}
	if got := ann.text("[...document.querySelectorAll('.mine p')].map((p) => p.textContent)"); got != "psst,nothing" {
		t.Errorf("ann's own: %s", got)
	}
}

func typing(t *testing.T, b context.Context) {
	h := newHall(t)
	ann, bob := openWindow(t, b, h.url("/")), openWindow(t, b, h.url("/"))
	ann.untilState("online")
	bob.untilState("online")
	bob.until("people.children.length === 2")
	ann.typeIn("#text", "a letter")
	bob.until("typing.textContent === " + strconv.Quote(ann.text("document.querySelector('#my-name').textContent")+" is typing…"))
	ann.say("")
	bob.untilShown("a letter")
	bob.until("typing.textContent === ''")
	if ann.is("typing.textContent") {
		t.Error("ann is told of her own typing")
	}
}

func nothingKept(t *testing.T, b context.Context) {
	h := newHall(t)
	h.forgetful = true
	w := openWindow(t, b, h.url("/"))
	w.untilState("online")
	w.until("about.textContent.includes('nothing is kept') && start.textContent.includes('Nothing is kept here')")
	h.says("lobby", "Eve", "now or never")
	w.untilShown("now or never")
	w.say("now")
	w.untilShown("now")
	w.until("!document.querySelector('.pending, .fate')")
	h.shut()
	w.untilState("offline")
	w.say("later")
	h.open()
	w.untilState("online")
	w.until("[...document.querySelectorAll('.notice')].some((n) => n.textContent.includes('not kept here'))")
	w.until("!document.querySelector('.pending, .fate')")
	if got := w.text(lines); got != "now or never|now|later" {
		t.Errorf("shown: %s", got)
	}
}

func missingIsTold(t *testing.T, b context.Context) {
	h := newHall(t)
	w := openWindow(t, b, h.url("/"))
	w.untilState("online")
	h.says("lobby", "Eve", "one")
	w.untilShown("one")
	h.with(func() { // somebody says something that does not get here by itself
		room := h.guests
		h.guests = nil
		h.add("lobby", frame{"user": "eve", "name": "Eve", "text": "two"})
		h.guests = room
		h.add("lobby", frame{"user": "eve", "name": "Eve", "text": "three"})
	})
	w.untilShown("three")
	if got := w.text(lines); got != "one|two|three" {
		t.Errorf("shown: %s", got)
	}
	h.with(func() {
		h.seq += 10
		h.tell("lobby", frame{"type": "gap", "room": "lobby", "epoch": "first", "from": h.seq - 8, "to": h.seq, "oldest": h.seq + 1}, nil)
		h.rooms["lobby"] = append(h.rooms["lobby"], frame{"seq": h.seq, "user": "eve", "text": "gone"})
	})
	h.says("lobby", "Eve", "after it")
	w.untilShown("after it")
	if got := w.text("[...document.querySelectorAll('.line p')].slice(-2)[0].textContent"); !strings.Contains(got, "missing here") {
		t.Errorf("before it: %q", got)
	}
}

func refusedIsTold(t *testing.T, b context.Context) {
	h := newHall(t)
	w := openWindow(t, b, h.url("/"))
	w.untilState("online")
	h.with(func() { h.refuse["publish"] = "denied" })
	w.say("may I?")
	w.until("document.querySelector('.failed .fate')?.textContent.startsWith('Not sent: The hall says denied')")
	h.with(func() { delete(h.refuse, "publish") })
	w.run(chromedp.Click(chromedp.CSS(".fate button")))
	w.until("!document.querySelector('.failed, .pending, .fate')")
	if h.kept("lobby") != `["may I?"]` {
		t.Errorf("kept: %s", h.kept("lobby"))
	}
	h.with(func() { h.refuse["publish"], h.refuse["join"] = "store_full", "denied" })
	w.say("never mind")
	w.until("document.querySelector('.failed')")
	w.do("document.querySelectorAll('.fate button')[1].click()")
	w.until("document.querySelectorAll('.line').length === 1")
	w.run(chromedp.SetValue(chromedp.CSS("#room"), "vip"))
	w.typeIn("#room", kb.Enter)
	w.until("start.textContent.includes('The hall says denied. Ask the hall') && about.textContent === 'You are not let in'")
}

func manyLines(t *testing.T, b context.Context) {
	h := newHall(t)
	w := openWindow(t, b, h.url("/"))
	w.untilState("online")
	for i := range 1500 {
		h.says("lobby", "Eve", "line "+strconv.Itoa(i))
	}
	w.untilShown("line 1499")
	const atEnd = "log.scrollHeight - log.scrollTop - log.clientHeight < 2"
	w.until(atEnd + " && document.querySelectorAll('.line').length === 1000")
	w.do("log.scrollTop = 5000")
	w.until("log.scrollTop === 5000")
	w.run(chromedp.Sleep(50 * time.Millisecond)) // the scroll event comes with a frame
	h.says("lobby", "Eve", "unseen")
	w.until("!newer.hidden && newer.textContent === '1 new message ↓'")
	if w.is(atEnd) {
		t.Error("the reader was torn away")
	}
	w.run(chromedp.Click(chromedp.CSS("#newer")))
	w.until(atEnd + " && newer.hidden")
	long := strings.Repeat("x", 60_000)
	for i := range 40 {
		h.says("lobby", "Eve", strconv.Itoa(10+i)+long)
	}
	w.until("[...document.querySelectorAll('.line p')].at(-1).textContent.startsWith('49') && log.textContent.length < (1 << 20) + 100000")
}

func aName(t *testing.T, b context.Context) {
	h := newHall(t)
	ann, bob := openWindow(t, b, h.url("/")), openWindow(t, b, h.url("/"))
	ann.untilState("online")
	bob.until("people.children.length === 2")
	ann.run(chromedp.Click(chromedp.CSS("#hello-choose")))
	ann.until("naming.open && document.activeElement.id === 'name'")
	ann.typeIn("#name", "Ann <i>"+kb.Enter)
	ann.until("!naming.open && document.querySelector('#my-name').textContent === 'Ann <i>' && document.querySelector('#hello').hidden")
	bob.until("people.textContent.includes('Ann <i>')")
	ann.say("it is me")
	bob.until("document.querySelector('.line .name')?.textContent === 'Ann <i>'")
	h.with(func() { h.refuse["auth"] = "name" })
	ann.run(chromedp.Click(chromedp.CSS("#rename")))
	ann.typeIn("#name", "Bob"+kb.Enter)
	ann.until("document.querySelector('#name-error').textContent.includes('The hall says name')")
	ann.typeIn("#name", kb.Escape)
	ann.until("!naming.open")
	ann.run(chromedp.Reload())
	ann.untilState("online")
	ann.until("document.querySelector('#my-name').textContent === 'Ann <i>' && document.querySelectorAll('.mine').length === 1")
}

func byKeyboard(t *testing.T, b context.Context) {
	h := newHall(t)
	w := openWindow(t, b, h.url("/rooms/one"))
	w.untilState("online")
	key := func(k string, with chromedp.Modifier) { w.run(chromedp.KeyEvent(k, chromedp.KeyModifiers(with))) }
	for _, name := range []string{"two", "three"} {
		key("k", chromedp.ModifierCtrl)
		w.until("document.activeElement === room")
		w.typeIn("#room", name+kb.Enter)
		w.until("title.textContent === '" + name + "'")
	}
	w.typeIn("#text", "a draft")
	key(kb.ArrowUp, chromedp.ModifierAlt)
	w.until("title.textContent === 'two' && text.value === ''")
	key(kb.ArrowDown, chromedp.ModifierAlt)
	w.until("title.textContent === 'three' && text.value === 'a draft'")
	key(kb.ArrowDown, chromedp.ModifierAlt) // round and round
	w.until("title.textContent === 'one'")
	w.do("rooms.querySelector('.talk').focus()")
	key(kb.ArrowDown, 0)
	w.until("document.activeElement.dataset.id === '#two'")
	key(kb.Enter, 0)
	w.until("title.textContent === 'two' && document.activeElement === text")
	key(kb.Enter, chromedp.ModifierShift)
	w.typeIn("#text", "x")
	w.until("text.value === '\\nx'")
	w.do("log.focus()")
	key("y", 0)
	w.until("text.value === '\\nxy'")
	w.do("log.focus()")
	key(kb.Escape, 0)
	w.until("document.activeElement === text")
	// Everything that can be used has a name.
	if got := w.text("[...document.querySelectorAll('button, input, textarea, a')].filter((e) => !(e.ariaLabel || e.textContent.trim() || e.labels?.length)).map((e) => e.outerHTML)"); got != "" {
		t.Errorf("without a name: %s", got)
	}
}

func onPhone(t *testing.T, b context.Context) {
	h := newHall(t)
	h.says("lobby", "Eve", strings.Repeat("long", 100)+" https://example.org/"+strings.Repeat("path/", 60))
	h.says("lobby", strings.Repeat("A very long name ", 6), "hello")
	w := openWindow(t, b, h.url("/"))
	w.run(chromedp.EmulateViewport(390, 844))
	w.untilState("online")
	w.untilShown("hello")
	if w.is("document.documentElement.scrollWidth > 390 || log.scrollWidth > log.clientWidth") {
		t.Errorf("wider than the screen: %s", w.text("log.scrollWidth"))
	}
	const visible = "(e) => { const r = e.getBoundingClientRect(); return getComputedStyle(e).visibility === 'visible' && r.left >= 0 && r.right <= innerWidth && r.width > 0 }"
	w.until("[side, here].every((e) => getComputedStyle(e).visibility === 'hidden')") // out of the way, once they have slid there
	w.run(chromedp.Click(chromedp.CSS("#open-side")))
	w.until("(" + visible + ")(side) && document.activeElement.matches('#rooms .talk')")
	w.run(chromedp.SetValue(chromedp.CSS("#room"), "tea"))
	w.typeIn("#room", kb.Enter)
	w.until("title.textContent === 'tea' && !(" + visible + ")(side)")
	w.run(chromedp.Click(chromedp.CSS("#open-here")))
	w.until("(" + visible + ")(here)")
	w.run(chromedp.KeyEvent(kb.Escape))
	w.until("!(" + visible + ")(here)")
	if got := w.text("[text, send, document.querySelector('#open-side')].map((e) => e.getBoundingClientRect().height >= 34)"); got != "true,true,true" {
		t.Errorf("too small for a finger: %s", got)
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
