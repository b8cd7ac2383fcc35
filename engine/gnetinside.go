package engine

import (
	"net"
	"reflect"
	"sync/atomic"
	"unsafe"

	"github.com/panjf2000/gnet/v2"
	"github.com/panjf2000/gnet/v2/pkg/netpoll"
	"golang.org/x/sys/unix"
)

// What throng needs of gnet and gnet does not offer. All of it is found by the
// names and types of gnet's fields, once per loop, and checked before use.

// pollerOf returns the epoll descriptor of a connection's loop, 0 if gnet is
// laid out differently. gnet offers no way to stop reading from a connection,
// and what is read and not wanted yet would pile up without bound; taking the
// socket's read interest away lets the sender's TCP wait instead. That the
// descriptor is the right one is checked on the connection itself.
func pollerOf(gc gnet.Conn) (epfd int) {
	defer func() { _ = recover() }() // a field of another name
	fd := int(reflect.ValueOf(gc).Elem().FieldByName("loop").Elem().FieldByName("poller").Elem().FieldByName("fd").Int())
	if errno := rawEpollCtl(fd, unix.EPOLL_CTL_MOD, int32(gc.Fd()), unix.EPOLLIN|unix.EPOLLPRI, 0); errno != 0 {
		return 0
	}
	return fd
}

// unusedFields are where a gnet connection keeps what nobody reads: its addresses
// (192 bytes; Conn has the peer's in 19), its context once more for other
// goroutines (16 bytes), and the callback that epoll would have to carry if it did
// not carry the descriptor, as it does (16 bytes; see pollerOf).
type unusedFields struct{ local, remote, sockaddr, context, attachment uintptr }

// unusedOf finds the fields in the type of a gnet connection; all zero if
// gnet is laid out differently, and then nothing is saved.
func unusedOf(gc gnet.Conn) (f unusedFields) {
	t := reflect.TypeOf(gc).Elem()
	if t.Kind() != reflect.Struct {
		return f
	}
	for name, at := range map[string]struct {
		offset *uintptr
		is     reflect.Type
	}{
		"localAddr":      {&f.local, reflect.TypeFor[net.Addr]()},
		"remoteAddr":     {&f.remote, reflect.TypeFor[net.Addr]()},
		"remote":         {&f.sockaddr, reflect.TypeFor[unix.Sockaddr]()},
		"safeCtx":        {&f.context, reflect.TypeFor[atomic.Pointer[any]]()},
		"pollAttachment": {&f.attachment, reflect.TypeFor[netpoll.PollAttachment]()},
	} {
		field, ok := t.FieldByName(name)
		if !ok || field.Type != at.is {
			return unusedFields{}
		}
		*at.offset = field.Offset
	}
	return f
}

// forget drops them for a stream connection. gnet reads the addresses again only
// to hand them out and to give an IPv6 zone back to a pool, and takes nil for none.
func (f unusedFields) forget(gc gnet.Conn) {
	if f == (unusedFields{}) {
		return
	}
	p := reflect.ValueOf(gc).UnsafePointer()
	*(*net.Addr)(unsafe.Add(p, f.local)) = nil
	*(*net.Addr)(unsafe.Add(p, f.remote)) = nil
	*(*unix.Sockaddr)(unsafe.Add(p, f.sockaddr)) = nil
	(*atomic.Pointer[any])(unsafe.Add(p, f.context)).Store(nil)
	(*netpoll.PollAttachment)(unsafe.Add(p, f.attachment)).Callback = nil
}
