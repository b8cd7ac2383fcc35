package web_test

import (
	"context"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

const patience = 20 * time.Second // for a busy machine; nothing waits so long otherwise

// browser starts Chromium with a new profile, or skips the test by name.
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
	// Without UserDataDir chromedp makes an empty profile and removes it at the end.
	ctx, stop := chromedp.NewExecAllocator(t.Context(), chromedp.ExecPath(path), chromedp.Headless,
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.WSURLReadTimeout(time.Minute))
	t.Cleanup(stop)
	ctx, quit := chromedp.NewContext(ctx)
	t.Cleanup(quit)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// window is one tab of a browser profile of its own, and what a user does and sees in it.
type window struct {
	t   *testing.T
	ctx context.Context

	mu         sync.Mutex
	complaints []string // errors and warnings of the console
}

func openWindow(t *testing.T, browser context.Context, url string) *window {
	t.Helper()
	w := &window{t: t}
	ctx, done := chromedp.NewContext(browser, chromedp.WithNewBrowserContext(), chromedp.WithListener(w.hear))
	t.Cleanup(done)
	w.ctx = ctx
	if err := chromedp.Do(ctx); err != nil { // the tab lives as long as this context
		t.Fatal(err)
	}
	w.run(chromedp.Navigate(url))
	return w
}

func (w *window) hear(event any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			w.complaints = append(w.complaints, e.Entry.Text)
		}
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			w.complaints = append(w.complaints, "console."+string(e.Type))
		}
	case *runtime.EventExceptionThrown:
		w.complaints = append(w.complaints, e.ExceptionDetails.Text)
	}
}

// console is what the browser complained of so far.
func (w *window) console() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.complaints, "\n")
}

func (w *window) run(steps ...chromedp.Action[chromedp.Void]) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		w.t.Fatal(err)
	}
}

// do runs a statement in the page.
func (w *window) do(script string) {
	w.t.Helper()
	w.run(chromedp.Evaluate[chromedp.Void](script))
}

// text evaluates an expression as text.
func (w *window) text(expr string) string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	s, err := chromedp.Run(ctx, chromedp.Evaluate[string]("String("+expr+")"))
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// is evaluates an expression as a condition.
func (w *window) is(expr string) bool {
	w.t.Helper()
	return w.text("Boolean("+expr+")") == "true"
}

// until waits for an expression to be true. chromedp's own poll compiles text in the page, which the
// page's policy forbids.
func (w *window) until(expr string) {
	w.t.Helper()
	for end := time.Now().Add(patience); !w.is(expr); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("never: %s\nstate: %s\nlog: %.2000s\nconsole: %s", expr, w.text("state.innerText"),
				w.text("log.innerText"), w.console())
		}
	}
}

func (w *window) untilState(word string) {
	w.t.Helper()
	w.until(`word.textContent === "` + word + `"`)
}

// untilShown waits for a line with exactly this text.
func (w *window) untilShown(line string) {
	w.t.Helper()
	w.until("[...document.querySelectorAll('.line p')].some((p) => p.textContent === `" + line + "`)")
}

func (w *window) typeIn(element chromedp.CSS, text string) {
	w.t.Helper()
	w.run(chromedp.SendKeys(element, text))
}

// say types a line and presses Enter.
func (w *window) say(line string) {
	w.t.Helper()
	w.typeIn("#text", line+kb.Enter)
}
