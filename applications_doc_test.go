package main

import (
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"throng/admin"
)

// TestOperationsApplications runs what the page says applications can ask, in its order. Who answers is a room of paper: what is shown here is
// that the requests are understood and look as the page has them.
func TestOperationsApplications(t *testing.T) {
	installed(t, "curl")
	socket := filepath.Join(t.TempDir(), "s")
	s, err := admin.Listen(admin.Config{Socket: socket, Operator: noOperator{}, Talker: &paper{rooms: map[string][]admin.Message{}}, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() { s.Serve(); close(served) }()
	defer func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
		<-served
	}()
	shell := commandShell(t, socket)
	if code, said := shell("throng publish --room tea --as ann --name Ann Tea?"); code != exitOK {
		t.Fatal(said)
	}
	if seen := checkTyped(t, "For applications", shell); seen < 11 {
		t.Errorf("only %d commands were found", seen)
	}
	for typed, part := range map[string]string{
		"throng publish --room tea": "content", "throng publish 'hello?'": "one of --room and --user", "throng publish --room tea --kind xml '<a/>'": "--kind",
		"throng history": "--room", "throng history --room tea --before x": "--before", "throng members --room": "--room",
	} {
		if code, said := shell(typed); code != exitUsage || !strings.Contains(said, part) {
			t.Errorf("%s: exit code %d\n%s", typed, code, said)
		}
	}
}

// noOperator is not asked anything.
type noOperator struct{ admin.Operator }

// paper is a Talker that writes down what is said.
type paper struct {
	mu    sync.Mutex
	rooms map[string][]admin.Message
	seq   uint64
}

func (p *paper) Publish(_ context.Context, _ admin.Caller, said admin.Publish) (admin.Published, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	room := said.Room
	if room == "" {
		room = "@" + said.User
	}
	for _, m := range p.rooms[room] {
		if said.Key != "" && m.Key == said.Key {
			return admin.Published{Room: room, Seq: m.Seq, Stored: true, Duplicate: true}, nil
		}
	}
	p.seq++
	m := admin.Message{Seq: p.seq, Time: time.Now().UnixMilli(), User: said.As, Name: said.Name, Key: said.Key, Content: said.Content}
	if m.User == "" {
		m.User, m.Name = "server", "server"
	}
	if before := p.rooms[room]; len(before) > 0 {
		m.Prev = before[len(before)-1].Seq
	}
	p.rooms[room] = append(p.rooms[room], m)
	return admin.Published{Room: room, Seq: m.Seq, Stored: true}, nil
}

func (p *paper) History(_ context.Context, q admin.HistoryQuery) (admin.HistoryPage, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	said := p.rooms[q.Room]
	page := admin.HistoryPage{Room: q.Room, Epoch: "one", More: len(said) > q.Limit, Messages: said[max(0, len(said)-q.Limit):]}
	if q.After != nil {
		page.Messages = said[:min(len(said), q.Limit)]
	}
	return page, nil
}

func (p *paper) Members(_ context.Context, q admin.MembersQuery) (admin.MembersPage, error) {
	return admin.MembersPage{Room: q.Room, Count: 2, Members: []admin.Member{{User: "ann", Name: "Ann"}, {User: "~ohcibx4t22xc6hx2", Name: "Bob"}}, Complete: true}, nil
}
