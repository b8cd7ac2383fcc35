package client

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"
)

func acceptOf(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func TestWelcome(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.options.Name = "Ann of & Co"
		c, err := Dial(soon(t), r.options)
		if err != nil {
			t.Fatal(err)
		}
		w := c.Welcome()
		if c.User() != "~ann" || w.Name != "Ann" || !w.Guest || w.Node != "n1" || w.Limits != (Limits{65536, 20, 0}) || w.Heartbeat != 30*time.Second {
			t.Errorf("welcome: %+v", w)
		}
		// The session makes the guest the same one on the next connection.
		time.Sleep(10 * time.Second)
		becomes(t, c, Online)
		if now, err := c.Ping(soon(t)); err != nil || now.UnixMilli() != 12345 {
			t.Errorf("the server's time: %v, %v", now, err)
		}
		if c.Session() != "secret" {
			t.Errorf("session %q", c.Session())
		}
		c.Close()
		if s := c.State(); s.Phase != Closed || s.Err != nil || c.Err() != nil {
			t.Errorf("after Close: %v, %v", s, c.Err())
		}
	}, func(p *peer) {
		p.welcome()
		if q := p.query.URL.Query(); q.Get("name") != "Ann of & Co" || q.Has("session") {
			p.t.Errorf("asked with %s", p.query.URL)
		}
		p.cut()
	}, func(p *peer) {
		p.welcome()
		if q := p.query.URL.Query(); q.Get("session") != "secret" {
			p.t.Errorf("asked with %s", p.query.URL)
		}
		p.ok(p.expect("ping"), object{"time": 12345})
	})
}

func TestDialGivesUp(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_, err := Dial(ctx, r.options)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no server") {
			t.Errorf("%v", err)
		}
	})
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{{}, {URL: "http://server/"}, {URL: "ws:///"}, {URL: "ws://h/", Pending: -1}, {URL: "ws://h/", Heartbeat: -1}, {URL: ":"}} {
		if c, err := New(o); err == nil {
			c.Close()
			t.Errorf("%+v makes a client", o)
		}
	}
}

// TestClose: everybody who waits is let go, and the server gets a Close frame.
func TestClose(t *testing.T) {
	closed := make(chan ws.StatusCode, 1)
	inBubble(t, func(t *testing.T, r *rig) {
		c := r.online(t)
		got := make(chan error)
		for _, wait := range []func() error{
			func() error { _, err := c.Publish(context.Background(), "tea", Text("a")); return err },
			func() error { _, err := c.Join(context.Background(), "tea", JoinOptions{}); return err },
			func() error { _, err := c.History(context.Background(), "tea", HistoryQuery{}); return err },
			func() error {
				for range c.Events(context.Background()) {
				}
				return ErrClosed
			},
		} {
			go func() { got <- wait() }()
		}
		synctest.Wait()
		c.Close()
		for range 4 {
			if err := <-got; !errors.Is(err, ErrClosed) {
				t.Errorf("%v", err)
			}
		}
		if code := <-closed; code != ws.StatusNormalClosure {
			t.Errorf("the server was told %d", code)
		}
		if _, err := c.Publish(context.Background(), "tea", Text("a")); !errors.Is(err, ErrClosed) {
			t.Errorf("%v", err)
		}
		if _, err := c.Join(context.Background(), "tea", JoinOptions{}); !errors.Is(err, ErrClosed) {
			t.Errorf("%v", err)
		}
		c.Close()
	}, func(p *peer) {
		p.welcome()
		for {
			f, err := p.frameIn()
			if err != nil {
				return
			}
			if f.Header.OpCode == ws.OpClose {
				code, _ := ws.ParseCloseFrameData(f.Payload)
				closed <- code
				p.cut()
				return
			}
		}
	})
}

// TestCloseInTheMiddle: at any moment of a connection's life.
func TestCloseInTheMiddle(t *testing.T) {
	for name, script := range map[string]func(*peer){
		"no server":       nil,
		"no answer":       func(p *peer) { p.in.ReadString(0) },
		"no welcome":      func(p *peer) { p.upgrade() },
		"no more is read": func(p *peer) { p.welcome(); time.Sleep(time.Hour); p.cut() },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				c := r.client(t)
				time.Sleep(100 * time.Millisecond)
				c.Enqueue(context.Background(), "tea", Text("a"))
				synctest.Wait()
				began := time.Now()
				c.Close()
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("Close took %s", took)
				}
			}, script)
		})
	}
}

// TestToken: it is asked for each connection, and when it expires.
func TestToken(t *testing.T) {
	tokens := []string{"one", "two", "three", "four", "five"}
	inBubble(t, func(t *testing.T, r *rig) {
		asked := 0
		r.options.Token = func() (string, error) {
			asked++
			if asked == 3 {
				return "", errors.New("no token today")
			}
			return tokens[asked-1], nil
		}
		r.options.Name = "Ann"
		c := r.client(t)
		sees(t, c, "token_expiring")
		time.Sleep(time.Minute)
		becomes(t, c, Online)
		if got := c.Welcome().Expires; got.UnixMilli() != 99 {
			t.Errorf("the token expires at %v", got)
		}
	}, func(p *peer) {
		p.welcome(object{"guest": false, "user": "ann"})
		if got := p.query.Header.Get("Authorization"); got != "Bearer one" || p.query.URL.RawQuery != "" {
			p.t.Errorf("came with %q, %s", got, p.query.URL)
		}
		p.say(object{"type": "error", "code": "token_expiring"})
		p.say(object{"type": "error", "code": "token_expiring"}) // one is under way
		q := p.expect("auth")
		if q["token"] != "two" {
			p.t.Errorf("%v", q)
		}
		p.ok(q, object{"user": "ann", "name": "Ann", "expires": 42})
		p.say(object{"type": "error", "code": "token_expiring"}) // this time there is none
		time.Sleep(time.Second)
		p.cut()
	}, func(p *peer) {
		p.welcome(object{"expires": 99})
		if got := p.query.Header.Get("Authorization"); got != "Bearer four" {
			p.t.Errorf("came with %q", got)
		}
	})
}

// TestTokenExpired: a token that was good until now is worth one attempt with another.
func TestTokenExpired(t *testing.T) {
	expired := func(p *peer) { p.welcome(); p.close(4401, "expired") }
	inBubble(t, func(t *testing.T, r *rig) {
		r.options.Token = func() (string, error) { return "x", nil }
		c := r.client(t)
		<-c.Done()
		var closed *CloseError
		if n := len(r.dialed()); n != 2 || !errors.As(c.Err(), &closed) || closed.Code != 4401 {
			t.Errorf("%d attempts, %v", n, c.Err())
		}
	}, expired, expired, expired)
}

// TestRotation: the next address after each failure.
func TestRotation(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.options.URLs = []string{"ws://other:81", "wss://third/rooms/tea?x=1"}
		c := r.client(t)
		for len(r.dialed()) < 4 {
			time.Sleep(time.Second)
		}
		c.Close()
		if want := []string{"server:80", "other:81", "third:443", "server:80"}; !slices.Equal(r.hosts[:4], want) {
			t.Errorf("%q; want %q", r.hosts, want)
		}
	})
}
