package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// raw is a client without a library, for thousands of them in one process: a socket and a small buffer.
type raw struct {
	net.Conn
	r       *bufio.Reader
	payload []byte // of the last frame; valid until the next
}

// refusal is an answer to an upgrade that says no.
type refusal struct {
	status     int
	retryAfter time.Duration
}

func (r *refusal) Error() string {
	return fmt.Sprintf("refused with %d, come back in %v", r.status, r.retryAfter)
}

// errUnreached marks failures to get a TCP connection at all.
var errUnreached = errors.New("not reached")

// noHeader is a PROXY header that says nothing, from somebody who is no balancer.
const noHeader = "PROXY UNKNOWN\r\n"

// dialRaw connects from an address of this machine, sends what stands before the request, and upgrades.
func dialRaw(addr, path string, from net.IP, before string) (*raw, error) {
	dialer := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: from}}
	socket, err := dialer.Dial("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreached, err)
	}
	c := &raw{Conn: socket, r: bufio.NewReaderSize(socket, 512)}
	if err := c.upgrade(addr, path, before); err != nil {
		_ = socket.Close()
		return nil, err
	}
	return c, nil
}

func (c *raw) upgrade(addr, path, before string) error {
	_ = c.SetDeadline(time.Now().Add(patience))
	hello := fmt.Sprintf("%sGET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", before, path, addr)
	if _, err := io.WriteString(c, hello); err != nil {
		return err
	}
	res, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		_ = res.Body.Close()
		seconds, _ := strconv.Atoi(res.Header.Get("Retry-After"))
		return &refusal{res.StatusCode, time.Duration(seconds) * time.Second}
	}
	return c.SetDeadline(time.Time{})
}

// next reads a message or a Close, and answers the pings before it. What it returns is valid until the next call.
func (c *raw) next() (first byte, payload []byte, err error) {
	for {
		if first, err = c.frame(); err != nil || first != pingFrame {
			return first, c.payload, err
		}
		if _, err = c.Write(frame(pongFrame, string(c.payload))); err != nil {
			return 0, nil, err
		}
	}
}

// frame reads one frame of the server, which has no mask (RFC 6455 section 5.2) and in these tests at most 65,535 bytes.
func (c *raw) frame() (first byte, err error) {
	var head [4]byte
	if _, err := io.ReadFull(c.r, head[:2]); err != nil {
		return 0, err
	}
	length := int(head[1])
	if length == 126 {
		if _, err := io.ReadFull(c.r, head[2:]); err != nil {
			return 0, err
		}
		length = int(binary.BigEndian.Uint16(head[2:]))
	}
	if length > cap(c.payload) {
		c.payload = make([]byte, length)
	}
	c.payload = c.payload[:length]
	_, err = io.ReadFull(c.r, c.payload)
	return head[0], err
}

// say sends a text message.
func (c *raw) say(line string) error {
	_, err := c.Write(frame(textFrame, line))
	return err
}

// goodbye makes out a Close, answers it and leaves.
func (c *raw) goodbye(payload []byte) farewell {
	bye := farewell{at: time.Now()}
	if len(payload) >= 2 {
		bye.code, bye.reason = int(binary.BigEndian.Uint16(payload)), string(payload[2:])
	}
	_, _ = c.Write(frame(closeFrame, string(payload)))
	_ = c.Close()
	return bye
}
