package main

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
)

// registry holds the rooms that have somebody in them. What a room is, each library decides.
type registry[R any] struct {
	open func() R
	shut func(R) // nil: nothing to do

	mu    sync.Mutex // held for the maps alone, never while anybody writes
	rooms map[string]*counted[R]
}

type counted[R any] struct {
	room R
	in   int
}

func newRegistry[R any](open func() R, shut func(R)) *registry[R] {
	return &registry[R]{open: open, shut: shut, rooms: make(map[string]*counted[R])}
}

// enter counts somebody into the room of that name, which is opened for the first.
func (g *registry[R]) enter(name string) R {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.rooms[name]
	if c == nil {
		c = &counted[R]{room: g.open()}
		g.rooms[name] = c
	}
	c.in++
	return c.room
}

// leave counts somebody out; the last one shuts the room.
func (g *registry[R]) leave(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.rooms[name]
	if c.in--; c.in > 0 {
		return
	}
	delete(g.rooms, name)
	if g.shut != nil {
		g.shut(c.room)
	}
}

// room is a list of members under a lock, for the libraries that bring nothing of the kind.
type room[M comparable] struct {
	mu      sync.Mutex
	members []M
	at      map[M]int // where in members
}

func newRoom[M comparable]() *room[M] { return &room[M]{at: make(map[M]int)} }

func (r *room[M]) add(m M) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at[m] = len(r.members)
	r.members = append(r.members, m)
}

func (r *room[M]) remove(m M) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i, ok := r.at[m]
	if !ok {
		return
	}
	last := len(r.members) - 1
	r.members[i] = r.members[last]
	r.at[r.members[i]] = i
	var none M
	r.members[last] = none
	r.members = r.members[:last]
	delete(r.at, m)
}

// each calls f for every member, one message at a time: all of them get the messages in the same order.
func (r *room[M]) each(f func(M)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.members {
		f(m)
	}
}

// copyTo appends the members to a list, for who must not hold the lock while writing.
func (r *room[M]) copyTo(list []M) []M {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append(list, r.members...)
}

// isRoom: the paths that are rooms. A room is called by its path.
func isRoom(path string) bool { return path == "/" || strings.HasPrefix(path, "/rooms/") }

// serveHTTP serves the rooms' paths with net/http, and nothing else.
func serveHTTP(listen string, rooms http.HandlerFunc) (stop func(), err error) {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, err
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isRoom(r.URL.Path) {
			http.NotFound(w, r)
			return
		}
		rooms(w, r)
	})}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	return func() {
		_ = s.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			panic(err)
		}
	}, nil
}
