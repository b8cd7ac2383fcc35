// Package console is throng's command line for operators, and for scripts that act as an application: what a node is asked and told over
// its private port, and how the answers look to people.
package console

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// Commands is the grammar of the command line, for a parser that reads struct tags.
type Commands struct {
	Status      StatusCmd      `cmd:"" help:"Show how a node is: connections, rates, lag, memory."`
	Connections ConnectionsCmd `cmd:"" help:"List connections, by user, address, room or state."`
	Rooms       RoomsCmd       `cmd:"" help:"List rooms, with their members and who lags in them."`
	Closes      ClosesCmd      `cmd:"" help:"Why was I disconnected: list how connections ended."`
	Kick        KickCmd        `cmd:"" help:"Close connections of a user, an address or a room."`
	Say         SayCmd         `cmd:"" help:"Send a system message to a room or to everybody."`
	Drain       DrainCmd       `cmd:"" help:"Stop a node as SIGTERM does, and show how far it is."`
	Shed        ShedCmd        `cmd:"" help:"Move some connections to other nodes, the idle first."`
	Reload      ReloadCmd      `cmd:"" help:"Have a node read its settings anew, as SIGHUP does."`
	Publish     PublishCmd     `cmd:"" help:"Say something in a room or to a user, as a member would."`
	History     HistoryCmd     `cmd:"" help:"List what was said in a room."`
	Members     MembersCmd     `cmd:"" help:"List who is in a room."`
}

// Target is which node a command is for, and how it answers.
type Target struct {
	Admin        string `placeholder:"ADDR" help:"The node's private port, host:port, or its socket, unix:PATH. By default the socket of this user's node on port 8080, that of the service, or 127.0.0.1:8081, whichever is there."`
	AdminKeyFile string `placeholder:"FILE" help:"File with the node's key. Over TCP, changes and reading what was said need it; a socket needs none."`
	JSON         bool   `name:"json" help:"Print JSON, as the node sends it."`
}

// Screen is where a command shows what it found.
type Screen struct {
	Out, Err io.Writer
	In       io.Reader // for confirmations; nil: there is nobody to ask
	Terminal bool      // a line can be rewritten
	Width    int       // of the terminal; 0: as wide as it takes
}

// print writes a line.
func (s *Screen) print(format string, args ...any) { fmt.Fprintf(s.Out, format+"\n", args...) }

// json writes a value as the node would.
func (s *Screen) json(v any) error {
	encoder := json.NewEncoder(s.Out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

// confirm asks a question that only y answers with yes.
func (s *Screen) confirm(question string) bool {
	fmt.Fprintf(s.Err, "%s [y/N] ", question)
	var answer string
	_, _ = fmt.Fscanln(s.In, &answer)
	return strings.EqualFold(answer, "y") || strings.EqualFold(answer, "yes")
}

// ticker shows what goes on: one line rewritten on a terminal, else a line each.
type ticker struct {
	screen *Screen
	shown  bool
}

func (t *ticker) line(text string) {
	if !t.screen.Terminal {
		t.screen.print("%s", text)
		return
	}
	t.shown = true
	fmt.Fprintf(t.screen.Out, "\r\x1b[K%s", fit(text, t.screen.Width-1))
}

// end leaves the last line standing.
func (t *ticker) end() {
	if t.shown {
		t.screen.print("")
	}
}

// interrupted ends when the user has had enough.
func interrupted() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
}

// askTime is how long a node may take to answer; it gives up on itself before.
const askTime = 15 * time.Second

func withAskTime() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), askTime)
}
