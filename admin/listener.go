package admin

import (
	"net"
	"sync"
)

// limitListener lends out a fixed number of places. Who finds none is not refused: its connection
// stays in the kernel's queue until a place is free, which the server's timeouts see to.
type limitListener struct {
	net.Listener
	places chan struct{} // a token per open connection
	closed chan struct{}
	once   sync.Once
}

func newLimitListener(l net.Listener, places int) *limitListener {
	return &limitListener{Listener: l, places: make(chan struct{}, places), closed: make(chan struct{})}
}

// Accept waits for a place first, and for a connection then.
func (l *limitListener) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.places
		return nil, err
	}
	return &placedConn{Conn: c, leave: sync.OnceFunc(func() { <-l.places })}, nil
}

// Close also frees an Accept that waits for a place.
func (l *limitListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// placedConn gives its place back when it is closed, once.
type placedConn struct {
	net.Conn
	leave func()
}

func (c *placedConn) Close() error {
	err := c.Conn.Close()
	c.leave()
	return err
}
