package main

import (
	"bufio"
	"io"
	"net"
	"sync"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// The form of gobwas's documentation for many connections: the upgrade without net/http, and a frame that is compiled
// once and written to each connection as it is, with a deadline as in its chat example. One goroutine for each
// connection, which reads, and writes what it read to everybody.

const (
	gobwasBuffer  = 1024
	gobwasPatient = 10 * time.Second
)

type gobwasServer struct {
	rooms *registry[*room[net.Conn]]
}

func startGobwas(listen string) (stop func(), err error) {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, err
	}
	s := gobwasServer{newRegistry(newRoom[net.Conn], nil)}
	var ended sync.WaitGroup
	ended.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	})
	return func() {
		_ = l.Close()
		ended.Wait()
	}, nil
}

func (s gobwasServer) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	var path string
	upgrader := ws.Upgrader{OnRequest: func(uri []byte) error {
		if path = string(uri); !isRoom(path) {
			return ws.RejectConnectionError(ws.RejectionStatus(404))
		}
		return nil
	}}
	if _, err := upgrader.Upgrade(conn); err != nil {
		return // it has answered
	}
	in := s.rooms.enter(path)
	defer s.rooms.leave(path)
	in.add(conn)
	defer in.remove(conn)
	both := struct {
		io.Reader
		io.Writer
	}{bufio.NewReaderSize(conn, gobwasBuffer), conn}
	for {
		text, op, err := wsutil.ReadClientData(both)
		if err != nil {
			return
		}
		frame, err := ws.CompileFrame(ws.NewFrame(op, true, text))
		if err != nil {
			return
		}
		in.each(func(to net.Conn) {
			_ = to.SetWriteDeadline(time.Now().Add(gobwasPatient))
			if _, err := to.Write(frame); err != nil {
				_ = to.Close() // half a frame may be out; its own goroutine removes it
			}
		})
	}
}
