package engine_test

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"throng/engine"
	"throng/protocol"
	"throng/protocol/cases"
)

// echo sends each message back to its sender.
type echo struct{}

func (echo) OnOpen(*engine.Conn)                                       {}
func (echo) OnMessage(c *engine.Conn, op protocol.Opcode, data []byte) { _ = c.Send(op, data) }
func (echo) OnClose(*engine.Conn, engine.Reason)                       {}

// TestConformance replays the codec's whole table against a live server: each
// case in one piece, byte by byte and at random splits, and every answer held
// against what must come, to the byte.
func TestConformance(t *testing.T) {
	servers := map[string]string{}
	address := func(t *testing.T, c *cases.Case) string {
		key := fmt.Sprint(c.MaxMessage, c.MaxFrame, c.MaxFragments, c.Deflate)
		if servers[key] == "" {
			servers[key] = echoServer(t, c)
		}
		return servers[key]
	}
	all := cases.All()
	for i := range all {
		c := &all[i]
		addr := address(t, c)
		for _, split := range []string{"whole", "bytes", "random"} {
			if split == "bytes" && len(c.In) > 4096 {
				continue // the codec's own test does it; here each byte is a system call
			}
			if err := replay(addr, c, split); err != nil {
				t.Errorf("%s, %s: %v", c.Name, split, err)
			}
		}
	}
	t.Logf("%d cases", len(all))
}

// echoServer starts an engine with the case's limits.
func echoServer(t *testing.T, c *cases.Case) string {
	cfg := engine.DefaultConfig()
	cfg.Listen, cfg.Loops = []string{"127.0.0.1:0"}, 1
	for limit, n := range map[*int]int{&cfg.Decoder.MaxMessage: c.MaxMessage, &cfg.Decoder.MaxFrame: c.MaxFrame, &cfg.Decoder.MaxFragments: c.MaxFragments} {
		if n > 0 {
			*limit = n
		}
	}
	cfg.PingRate, cfg.Backlog, cfg.LogBytes = 0, 0, 0
	cfg.Compress, cfg.CompressAbove = c.Deflate, 0
	e, err := engine.New(cfg, echo{})
	if err != nil {
		t.Fatal(err)
	}
	e.Start()
	t.Cleanup(e.Close)
	return e.Addrs()[0].String()
}

// replay plays one case and returns what was wrong with the answers.
func replay(addr string, c *cases.Case, split string) error {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(5 * time.Second))
	r, err := upgradeRaw(nc, c.Deflate)
	if err != nil {
		return err
	}
	go func() { // a server that has closed stops reading: what cannot be written then is of no matter
		for _, piece := range pieces(c.In, split) {
			if _, err := nc.Write(piece); err != nil {
				return
			}
		}
		if c.Close == 0 && !closes(c) { // nothing in the case ends the connection, so this does
			_, _ = nc.Write([]byte{0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8})
		}
	}()
	return expectAnswers(r, c)
}

func upgradeRaw(nc net.Conn, deflate bool) (*bufio.Reader, error) {
	offer := ""
	if deflate {
		offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
	}
	if _, err := fmt.Fprintf(nc, "GET / HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n", offer); err != nil {
		return nil, err
	}
	r := bufio.NewReader(nc)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return nil, fmt.Errorf("status %d", resp.StatusCode)
	}
	return r, nil
}

// closes reports whether the client itself sends a Close in the case.
func closes(c *cases.Case) bool {
	for _, ev := range c.Want {
		if ev.Op == cases.Close {
			return true
		}
	}
	return false
}

// pieces splits the input.
func pieces(in []byte, split string) (out [][]byte) {
	size := func() int { return len(in) }
	switch split {
	case "bytes":
		size = func() int { return 1 }
	case "random":
		size = func() int { return 1 + rand.IntN(len(in)) }
	}
	for len(in) > 0 {
		n := min(size(), len(in))
		out = append(out, in[:n])
		in = in[n:]
	}
	return out
}

// expectAnswers reads what the server says: an echo for each message, a pong for
// each ping (RFC 6455 section 5.5.3), and a Close at last.
func expectAnswers(r *bufio.Reader, c *cases.Case) error {
	for _, ev := range c.Want {
		switch ev.Op {
		case cases.Text, cases.Binary:
			if err := expectFrame(r, ws.OpCode(ev.Op), ev.Payload); err != nil {
				return err
			}
		case cases.Ping:
			if err := expectFrame(r, ws.OpPong, ev.Payload); err != nil {
				return err
			}
		case cases.Close:
			return expectLast(r, ev.Code)
		}
	}
	switch c.Close {
	case 0:
		return expectLast(r, 1000)
	case cases.NoCode:
		return expectLast(r, 0)
	default:
		return expectLast(r, c.Close)
	}
}

func expectFrame(r io.Reader, op ws.OpCode, payload []byte) error {
	f, err := readFrame(r)
	if err != nil {
		return fmt.Errorf("waiting for %d bytes of opcode %d: %w", len(payload), op, err)
	}
	got := f.Payload
	if f.Header.Rsv1() {
		if got, err = inflate(got); err != nil {
			return err
		}
	}
	if f.Header.OpCode != op || !f.Header.Fin || f.Header.Masked || !bytes.Equal(got, payload) {
		return fmt.Errorf("got opcode %d with %.60q, want %d with %.60q", f.Header.OpCode, got, op, payload)
	}
	return nil
}

// readFrame reads one frame of the server.
func readFrame(r io.Reader) (f ws.Frame, err error) {
	if f.Header, err = ws.ReadHeader(r); err != nil {
		return f, err
	}
	f.Payload = make([]byte, f.Header.Length)
	_, err = io.ReadFull(r, f.Payload)
	return f, err
}

// expectLast reads the Close frame and then the end of the stream.
func expectLast(r io.Reader, code uint16) error {
	f, err := readFrame(r)
	if err != nil {
		return fmt.Errorf("waiting for the Close frame with %d: %w", code, err)
	}
	got := uint16(0)
	if len(f.Payload) >= 2 {
		got = binary.BigEndian.Uint16(f.Payload)
	}
	if f.Header.OpCode != ws.OpClose || got != code {
		return fmt.Errorf("got opcode %d code %d, want a Close with %d", f.Header.OpCode, got, code)
	}
	if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		return fmt.Errorf("behind the Close frame: %d bytes, %v; want the end of the stream", n, err)
	}
	return nil
}

// inflate undoes permessage-deflate (RFC 7692 section 7.2.2).
func inflate(b []byte) ([]byte, error) {
	return io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(b), bytes.NewReader([]byte{0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff}))))
}
