package bench

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
)

// The handshake (RFC 6455, 4), both sides of it, as short as it goes. The loader proves a server with gobwas/ws
// once before a run (see probe); what follows is for the tens of thousands after that.

const (
	acceptGUID   = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
	headBytesMax = 8 << 10
)

func acceptKey(key []byte) [28]byte {
	var text [64]byte
	sum := sha1.Sum(append(append(text[:0], key...), acceptGUID...))
	var out [28]byte
	base64.StdEncoding.Encode(out[:], sum[:])
	return out
}

// upgrade answers a request once it is all there, and returns what came behind it.
func (s *IdealServer) upgrade(c *idealConn, b []byte) []byte {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		if len(b) > headBytesMax {
			s.kill(c)
		}
		return b
	}
	head, rest := b[:end+2], b[end+4:]
	path, key := requestPath(head), headerValue(head, "Sec-WebSocket-Key")
	if path == nil || len(key) != 24 {
		s.send(c, []byte("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
		s.kill(c)
		return nil
	}
	accept := acceptKey(key)
	s.out = append(s.out[:0], "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	s.out = append(append(s.out, accept[:]...), "\r\n\r\n"...)
	s.send(c, s.out)
	if !c.dead {
		s.join(c, string(path))
	}
	return rest
}

// requestPath is the target of "GET target HTTP/1.1".
func requestPath(head []byte) []byte {
	line, _, _ := bytes.Cut(head, []byte("\r\n"))
	line, ok := bytes.CutPrefix(line, []byte("GET "))
	if !ok {
		return nil
	}
	if line, ok = bytes.CutSuffix(line, []byte(" HTTP/1.1")); !ok || len(line) == 0 {
		return nil
	}
	return line
}

// headerValue finds a header line; names differ in case only.
func headerValue(head []byte, name string) []byte {
	for {
		at := bytes.IndexByte(head, '\n')
		if at < 0 {
			return nil
		}
		head = head[at+1:]
		if len(head) > len(name) && head[len(name)] == ':' && bytes.EqualFold(head[:len(name)], []byte(name)) {
			line, _, _ := bytes.Cut(head[len(name)+1:], []byte("\r\n"))
			return bytes.TrimSpace(line)
		}
	}
}

// handshake is a client's request to one host, and the answer it expects.
type handshake struct {
	host        string
	key         string
	accept      [28]byte
	subprotocol string
}

func newHandshake(host, subprotocol string, nonce [16]byte) handshake {
	h := handshake{host: host, subprotocol: subprotocol, key: base64.StdEncoding.EncodeToString(nonce[:])}
	h.accept = acceptKey([]byte(h.key))
	return h
}

func (h *handshake) appendRequest(b []byte, path string) []byte {
	b = append(append(append(b, "GET "...), path...), " HTTP/1.1\r\nHost: "...)
	b = append(append(b, h.host...), "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "...)
	b = append(b, h.key...)
	if h.subprotocol != "" {
		b = append(append(b, "\r\nSec-WebSocket-Protocol: "...), h.subprotocol...)
	}
	return append(b, "\r\n\r\n"...)
}

var errAnswerLong = errors.New("the answer to the handshake has no end within 8 KiB")

// answer reads a server's answer: n is 0 while it is not all there; an error says why it is no upgrade.
func (h *handshake) answer(b []byte) (n int, err error) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		if len(b) > headBytesMax {
			return 0, errAnswerLong
		}
		return 0, nil
	}
	head := b[:end+2]
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 101 ")) {
		line, _, _ := bytes.Cut(head, []byte("\r\n"))
		return 0, fmt.Errorf("refused: %.60s", line)
	}
	if !bytes.Equal(headerValue(head, "Sec-WebSocket-Accept"), h.accept[:]) {
		return 0, errors.New("refused: wrong Sec-WebSocket-Accept")
	}
	if got := headerValue(head, "Sec-WebSocket-Protocol"); string(got) != h.subprotocol {
		return 0, fmt.Errorf("refused: subprotocol %.30q in the answer, want %q", got, h.subprotocol)
	}
	return end + 4, nil
}
