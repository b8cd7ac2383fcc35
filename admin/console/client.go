package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"throng/admin"
)

// client speaks to the private port of one node.
type client struct {
	http  *http.Client
	base  string
	key   string
	where string // as it stands in messages
}

// defaultPort is the one that a node serves which was told nothing, defaultAdmin its private port.
const (
	defaultPort  = "8080"
	defaultAdmin = "127.0.0.1:8081"
)

// answerBytesMax bounds what is read of an answer that should be one value.
const answerBytesMax = 16 << 20

// connect finds the node that is meant. Nothing is sent yet.
func (t *Target) connect() (*client, error) {
	where := t.Admin
	if where == "" {
		where = defaultTarget(os.Getenv)
	}
	c := &client{where: where}
	transport := &http.Transport{DisableKeepAlives: true}
	if path, isSocket := strings.CutPrefix(where, "unix:"); isSocket {
		c.base = "http://throng"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		}
	} else {
		if _, _, err := net.SplitHostPort(where); err != nil {
			return nil, fmt.Errorf("--admin %q is no address; allowed: host:port, or unix:PATH", where)
		}
		c.base = "http://" + where
		if t.AdminKeyFile != "" {
			key, err := admin.ReadKey(t.AdminKeyFile)
			if err != nil {
				return nil, fmt.Errorf("--admin-key-file: %w", err)
			}
			c.key = key
		}
	}
	// A node that is sent elsewhere by a proxy of the environment's would get the key.
	transport.Proxy = nil
	c.http = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return c, nil
}

// defaultTarget is the first of the usual places where somebody listens. Who may not use the service's socket can still read over TCP.
func defaultTarget(getenv func(string) string) string {
	var sockets []string
	if path, err := admin.SocketPath(getenv, defaultPort, false); err == nil {
		sockets = append(sockets, path)
	}
	for _, path := range append(sockets, admin.SystemSocket) {
		if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
			_ = c.Close()
			return "unix:" + path
		}
	}
	return defaultAdmin
}

// get asks for something, with what is known of the answer's form.
func get[T any](ctx context.Context, c *client, path string, parameters url.Values) (got T, err error) {
	if len(parameters) > 0 {
		path += "?" + parameters.Encode()
	}
	return one[T](c.send(ctx, http.MethodGet, path, nil))
}

// post asks for a change.
func post[T any](ctx context.Context, c *client, path string, body any) (got T, err error) {
	return one[T](c.send(ctx, http.MethodPost, path, body))
}

func one[T any](answer io.ReadCloser, err error) (got T, _ error) {
	if err != nil {
		return got, err
	}
	defer func() { _ = answer.Close() }()
	if err := json.NewDecoder(io.LimitReader(answer, answerBytesMax)).Decode(&got); err != nil {
		return got, fmt.Errorf("the node's answer is not understood: %w", err)
	}
	return got, nil
}

// follow asks for something that takes a while, and shows each line of what the node tells of it.
func (c *client) follow(ctx context.Context, path string, body any, show func(line []byte, p admin.Progress) (more bool)) error {
	answer, err := c.send(ctx, http.MethodPost, path, body)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Close() }()
	for lines := json.NewDecoder(answer); ; {
		var line json.RawMessage
		if err := lines.Decode(&line); err != nil {
			return fmt.Errorf("the node has not said that it is done: %w", err)
		}
		var p admin.Progress
		if err := json.Unmarshal(line, &p); err != nil {
			return fmt.Errorf("the node's answer is not understood: %w", err)
		}
		if !show(line, p) {
			return nil
		}
	}
}

// send sends a request and returns the body of an answer that is no refusal.
func (c *client) send(ctx context.Context, method, path string, body any) (io.ReadCloser, error) {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+"/v1/"+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	if c.key != "" {
		request.Header.Set("Authorization", "Bearer "+c.key)
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if answer.StatusCode == http.StatusOK {
		return answer.Body, nil
	}
	defer func() { _ = answer.Body.Close() }()
	return nil, c.refused(answer)
}

// unreachable says what to do about a node that does not answer.
func (c *client) unreachable(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT):
		return fmt.Errorf("nobody listens on %s; is the node running? --admin names another address or socket", c.where)
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return fmt.Errorf("no permission on %s%s; run this as that user or as root", c.where, ownerOf(strings.TrimPrefix(c.where, "unix:")))
	case ctx.Err() != nil:
		return fmt.Errorf("%s does not answer: %w", c.where, ctx.Err())
	}
	if inner := (*url.Error)(nil); errors.As(err, &inner) {
		err = inner.Err
	}
	return fmt.Errorf("%s does not answer as a node's private port does: %w", c.where, err)
}

// ownerOf says whose a file is.
func ownerOf(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprintf(", which is for uid %d", stat.Uid)
	}
	return ""
}

// refused says why the node did not do it, in its own words where it has some.
func (c *client) refused(answer *http.Response) error {
	var told struct {
		Error   string   `json:"error"`
		Details []string `json:"details"`
	}
	text, _ := io.ReadAll(io.LimitReader(answer.Body, answerBytesMax))
	if json.Unmarshal(text, &told) != nil || told.Error == "" {
		return fmt.Errorf("%s answers %s and not as a node that knows this command: it is too old, or another port; --admin names the private one",
			c.where, answer.Status)
	}
	message := strings.Join(append([]string{told.Error}, told.Details...), "; ")
	switch {
	case answer.StatusCode == http.StatusUnauthorized && c.key == "":
		message += "; name the file that holds it with --admin-key-file"
	case answer.StatusCode == http.StatusNotFound && strings.HasPrefix(told.Error, "there is no such thing"):
		message = "the node is too old for this command"
	}
	return errors.New(escaped(message))
}
