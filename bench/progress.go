package bench

import (
	"fmt"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"
)

// progressSending is the line that says that the load is on; a parent process waits for it.
const progressSending = "%d connections open, sending"

// progress shows what goes on: one line rewritten on a terminal, else a line each.
type progress struct {
	mu    sync.Mutex
	out   *os.File
	width int // of the terminal; 0: none
}

func newProgress(out *os.File) *progress {
	p := &progress{out: out}
	if term.IsTerminal(int(out.Fd())) {
		p.width = 80
		if w, _, err := term.GetSize(int(out.Fd())); err == nil && w > 0 {
			p.width = w
		}
	}
	return p
}

func (p *progress) line(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.width == 0 {
		fmt.Fprintln(p.out, text)
		return
	}
	text, _, _ = strings.Cut(text, "\n")
	fmt.Fprintf(p.out, "\r\x1b[K%.*s", p.width-1, text)
}

func (p *progress) end() {
	if p.width > 0 {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}
