package main

import (
	"context"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// TestPageOfARealServer drives the page in Chromium as the server serves it. What the page does against servers of all sorts, its own tests show.
func TestPageOfARealServer(t *testing.T) {
	b := browser(t)
	for _, c := range []struct {
		name string
		test func(*testing.T, context.Context)
	}{
		{"two tabs chat", twoTabsChat},
		{"silence is let go", silenceIsLetGo},
		{"a restart", restartOfTheServer},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, b) })
	}
}

func twoTabsChat(t *testing.T, b context.Context) {
	n := startNode(t)
	res, page := n.ask(n.addrs[0], "GET / HTTP/1.1\nHost: "+n.addrs[0]+"\n\n")
	if res.StatusCode != http.StatusOK || !strings.Contains(page, "/page.js") || !strings.Contains(res.Header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Fatalf("the page: %s\n%v\n%s", res.Status, res.Header, page)
	}
	request := "GET / HTTP/1.1\nHost: " + n.addrs[0] + "\nIf-None-Match: " + res.Header.Get("ETag") + "\n\n"
	if res, page := n.ask(n.addrs[0], request); res.StatusCode != http.StatusNotModified || page != "" {
		t.Errorf("the page once more: %s, %d bytes", res.Status, len(page))
	}

	ann, bob := openTab(t, b, n, "/rooms/聊天"), openTab(t, b, n, "/rooms/%E8%81%8A%E5%A4%A9")
	elsewhere := openTab(t, b, n, "/")
	for _, w := range []*tab{ann, bob, elsewhere} {
		w.untilState("online")
	}
	other := join(t, n.url("/rooms/聊天"))
	ann.say("谁在这里? <b>")
	bob.untilShown("谁在这里? <b>")
	bob.say("我")
	ann.untilShown("我")
	other.say(text("and I"))
	ann.untilShown("and I")
	bob.untilShown("and I")
	other.hears(text("谁在这里? <b>"), text("我"), text("and I"))
	if elsewhere.is("document.querySelector('.line')") {
		t.Error("the lobby heard what was said in another room")
	}
}

func silenceIsLetGo(t *testing.T, b context.Context) {
	n := startNode(t, "--idle-timeout", "3s", "--idle-counts", "messages", "--ping-interval", "0")
	tab := openTab(t, b, n, "/")
	tab.untilState("let go")
	tab.say("I am back")
	tab.untilShown("I am back")
}

// The page comes back no sooner than it was told to, into the next server at the same address.
func restartOfTheServer(t *testing.T, b context.Context) {
	first := startNode(t, "--drain-time", "1s")
	tab := openTab(t, b, first, "/rooms/x")
	tab.untilState("online")
	tab.run(chromedp.Evaluate[chromedp.Void](`
		globalThis.told = [];
		const reason = Object.getOwnPropertyDescriptor(CloseEvent.prototype, "reason").get;
		Object.defineProperty(CloseEvent.prototype, "reason", { get() {
			const said = reason.call(this);
			told.push([performance.now(), said]);
			return said;
		} });
		new MutationObserver(() => told.push([performance.now(), word.textContent])).observe(word, { childList: true });`))
	first.signal(syscall.SIGTERM)
	tab.until("told.some(([, what]) => what === 'restarting')")
	if code := first.exit(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	startNode(t, "--listen", first.addrs[0])
	tab.untilState("online")
	tab.say("the same room")
	tab.untilShown("the same room")

	what := tab.text("told.map(([, what]) => what).join()")
	m := restart.FindStringSubmatch(tab.text("told[0][1]"))
	if m == nil {
		t.Fatalf("what happened: %s", what)
	}
	turn, _ := strconv.ParseFloat(m[1], 64)
	waited, err := strconv.ParseFloat(tab.text("told.find(([, what]) => what === 'connecting')[0] - told[0][0]"), 64)
	if err != nil || waited < turn-2 { // browsers round their clocks
		t.Errorf("came back after %v ms, told to after %v (%v): %s", waited, turn, err, what)
	}
}

// browser starts Chromium with a profile of its own.
func browser(t *testing.T) context.Context {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		missing(t, "chromium")
	}
	ctx, stop := chromedp.NewExecAllocator(t.Context(), chromedp.ExecPath(path), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck, chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.WSURLReadTimeout(time.Minute))
	t.Cleanup(stop)
	ctx, quit := chromedp.NewContext(ctx)
	t.Cleanup(quit)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// tab is the page in a browser's tab.
type tab struct {
	t   *testing.T
	ctx context.Context
}

// openTab opens the page of a room.
func openTab(t *testing.T, browser context.Context, n *node, path string, options ...chromedp.ContextOption) *tab {
	t.Helper()
	ctx, done := chromedp.NewContext(browser, options...)
	t.Cleanup(done)
	if err := chromedp.Do(ctx); err != nil { // the tab lives as long as this context
		t.Fatal(err)
	}
	w := &tab{t, ctx}
	w.run(chromedp.Navigate("http://" + n.addrs[0] + path))
	return w
}

func (w *tab) run(step chromedp.Action[chromedp.Void]) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, step); err != nil {
		w.t.Fatal(err)
	}
}

// text evaluates an expression as text.
func (w *tab) text(expr string) string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	s, err := chromedp.Run(ctx, chromedp.Evaluate[string]("String("+expr+")"))
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *tab) is(expr string) bool {
	w.t.Helper()
	return w.text("Boolean("+expr+")") == "true"
}

// until waits for an expression to be true.
func (w *tab) until(expr string) {
	w.t.Helper()
	for end := time.Now().Add(patience); !w.is(expr); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("never: %s\n%s", expr, w.text("document.body.innerText"))
		}
	}
}

func (w *tab) untilState(state string) {
	w.t.Helper()
	w.until(`globalThis.word && word.textContent === "` + state + `"`)
}

// untilShown waits for a line with exactly this text.
func (w *tab) untilShown(line string) {
	w.t.Helper()
	w.until("[...document.querySelectorAll('.line p')].some((p) => p.textContent === `" + line + "`)")
}

// say types a line and presses Enter. The first letter brings a page back that was let go.
func (w *tab) say(line string) {
	w.t.Helper()
	w.run(chromedp.SendKeys(chromedp.CSS("#text"), line))
	w.untilState("online")
	w.run(chromedp.SendKeys(chromedp.CSS("#text"), kb.Enter))
}
