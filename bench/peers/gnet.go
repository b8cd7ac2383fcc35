package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"github.com/gobwas/ws"
	"github.com/panjf2000/gnet/v2"
	"github.com/panjf2000/gnet/v2/pkg/logging"
)

// Plain gnet with gobwas/ws, in the form of gnet's WebSocket example: frames are decoded from the inbound buffer on
// the event loop. A member on the same loop is written to at once, one on another loop through AsyncWrite, as gnet's
// documentation asks for. gnet keeps what a socket does not take; beyond gnetUnsent the connection is closed.

const gnetUnsent = 16 << 20

type gnetServer struct {
	gnet.BuiltinEventEngine
	rooms  *registry[*room[gnet.Conn]]
	booted chan gnet.Engine
}

// gnetClient is the context of a connection.
type gnetClient struct {
	path  string // "": not upgraded yet
	in    *room[gnet.Conn]
	op    ws.OpCode // of the message whose fragments are in whole; 0: none is under way
	whole []byte
	list  []gnet.Conn // of the last broadcast, for the next
}

func startGnet(listen string) (stop func(), err error) {
	s := &gnetServer{rooms: newRegistry(newRoom[gnet.Conn], nil), booted: make(chan gnet.Engine, 1)}
	ended := make(chan error, 1)
	go func() {
		ended <- gnet.Run(s, "tcp://"+listen, gnet.WithMulticore(true), gnet.WithTCPNoDelay(gnet.TCPNoDelay),
			gnet.WithLogLevel(logging.ErrorLevel))
	}()
	select {
	case engine := <-s.booted:
		return func() {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			_ = engine.Stop(ctx)
			<-ended
		}, nil
	case err := <-ended:
		return nil, err
	}
}

// OnBoot hands the engine on to who ends it.
func (s *gnetServer) OnBoot(engine gnet.Engine) gnet.Action {
	s.booted <- engine
	return gnet.None
}

// OnOpen remembers that the upgrade is to come.
func (s *gnetServer) OnOpen(c gnet.Conn) ([]byte, gnet.Action) {
	c.SetContext(&gnetClient{})
	return nil, gnet.None
}

// OnClose takes the connection out of its room.
func (s *gnetServer) OnClose(c gnet.Conn, _ error) gnet.Action {
	if client, ok := c.Context().(*gnetClient); ok && client.in != nil {
		client.in.remove(c)
		s.rooms.leave(client.path)
	}
	return gnet.None
}

// OnTraffic upgrades, and then broadcasts each message that is there as a whole.
func (s *gnetServer) OnTraffic(c gnet.Conn) gnet.Action {
	client := c.Context().(*gnetClient)
	if client.in == nil {
		if done, err := s.upgrade(c, client); err != nil {
			return gnet.Close
		} else if !done {
			return gnet.None
		}
	}
	for {
		b, _ := c.Peek(-1)
		r := bytes.NewReader(b)
		header, err := ws.ReadHeader(r)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || err == nil && int64(r.Len()) < header.Length {
			return gnet.None
		}
		if err == nil {
			err = ws.CheckHeader(header, client.state())
		}
		if err != nil {
			return gnet.Close
		}
		from := len(b) - r.Len()
		payload := b[from : from+int(header.Length)]
		ws.Cipher(payload, header.Mask, 0)
		action := client.frame(c, header, payload)
		_, _ = c.Discard(from + len(payload))
		if action != gnet.None {
			return action
		}
	}
}

// state is what gobwas/ws judges a frame by.
func (client *gnetClient) state() ws.State {
	if client.op != 0 {
		return ws.StateServerSide.Set(ws.StateFragmented)
	}
	return ws.StateServerSide
}

// upgrade answers the request once it is there as a whole.
func (s *gnetServer) upgrade(c gnet.Conn, client *gnetClient) (done bool, err error) {
	b, _ := c.Peek(-1)
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		return false, nil
	}
	request := b[:end+4]
	upgrader := ws.Upgrader{OnRequest: func(uri []byte) error {
		if client.path = string(uri); !isRoom(client.path) {
			return ws.RejectConnectionError(ws.RejectionStatus(404))
		}
		return nil
	}}
	_, err = upgrader.Upgrade(struct {
		io.Reader
		io.Writer
	}{bytes.NewReader(request), c})
	if err != nil {
		return false, err
	}
	_, _ = c.Discard(len(request))
	client.in = s.rooms.enter(client.path)
	client.in.add(c)
	return true, nil
}

// frame handles one frame; the payload is the loop's buffer.
func (client *gnetClient) frame(c gnet.Conn, header ws.Header, payload []byte) gnet.Action {
	switch header.OpCode {
	case ws.OpClose:
		_, _ = c.Write(ws.MustCompileFrame(ws.NewCloseFrame(payload)))
		return gnet.Close
	case ws.OpPing:
		_, _ = c.Write(ws.MustCompileFrame(ws.NewPongFrame(payload)))
		return gnet.None
	case ws.OpPong:
		return gnet.None
	case ws.OpText, ws.OpBinary:
		client.op = header.OpCode
	}
	if !header.Fin || header.OpCode == ws.OpContinuation {
		client.whole = append(client.whole, payload...)
		payload = client.whole
	}
	if !header.Fin {
		return gnet.None
	}
	frame, err := ws.CompileFrame(ws.NewFrame(client.op, true, payload))
	client.op, client.whole = 0, nil
	if err != nil {
		return gnet.Close
	}
	client.broadcast(c, frame)
	return gnet.None
}

// broadcast works on a copy of the list: a write that fails closes its connection at once, which changes the room.
func (client *gnetClient) broadcast(c gnet.Conn, frame []byte) {
	own := c.EventLoop()
	client.list = client.in.copyTo(client.list[:0])
	for _, to := range client.list {
		if to.EventLoop() != own {
			_ = to.AsyncWrite(frame, limitUnsent)
			continue
		}
		if _, err := to.Write(frame); err == nil {
			_ = limitUnsent(to, nil)
		}
	}
	clear(client.list)
}

// limitUnsent runs on the connection's loop.
func limitUnsent(c gnet.Conn, err error) error {
	if err == nil && c.OutboundBuffered() > gnetUnsent {
		return c.Close()
	}
	return nil
}
