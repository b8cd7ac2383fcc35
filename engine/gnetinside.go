package engine

import (
	"net"
	"reflect"
	"unsafe"

	"github.com/panjf2000/gnet/v2"
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

// addressFields are where a gnet connection keeps its addresses: 192 bytes that
// nobody reads, since Conn has the peer's in 19.
type addressFields struct{ local, remote, sockaddr uintptr }

// addressesOf finds the fields in the type of a gnet connection; all zero if
// gnet is laid out differently, and then nothing is saved.
func addressesOf(gc gnet.Conn) (f addressFields) {
	t := reflect.TypeOf(gc).Elem()
	if t.Kind() != reflect.Struct {
		return f
	}
	local, ok1 := t.FieldByName("localAddr")
	remote, ok2 := t.FieldByName("remoteAddr")
	sockaddr, ok3 := t.FieldByName("remote")
	addr, sa := reflect.TypeFor[net.Addr](), reflect.TypeFor[unix.Sockaddr]()
	if !ok1 || !ok2 || !ok3 || local.Type != addr || remote.Type != addr || sockaddr.Type != sa {
		return f
	}
	return addressFields{local.Offset, remote.Offset, sockaddr.Offset}
}

// forget drops a stream connection's addresses. gnet reads them again only to
// hand them out and to give an IPv6 zone back to a pool, and takes nil for none.
func (f addressFields) forget(gc gnet.Conn) {
	if f == (addressFields{}) {
		return
	}
	p := reflect.ValueOf(gc).UnsafePointer()
	*(*net.Addr)(unsafe.Add(p, f.local)) = nil
	*(*net.Addr)(unsafe.Add(p, f.remote)) = nil
	*(*unix.Sockaddr)(unsafe.Add(p, f.sockaddr)) = nil
}
