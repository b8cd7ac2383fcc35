package engine

import (
	"fmt"
	"net"
	"reflect"
	"runtime/debug"
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

// gnetLoop is gnet's part of a loop.
type gnetLoop struct {
	loop    unsafe.Pointer // *eventloop
	conns   unsafe.Pointer // *connMatrix, its connections by descriptor
	context uintptr        // where a connection has its context
	wake    int32          // descriptor by which gnet is told to stop
	bell    int32          // descriptor of the bell's end
}

// gnetLoopOf finds the loop of the bell's connection; all zero if gnet is laid out differently.
func gnetLoopOf(gc gnet.Conn) (g gnetLoop) {
	defer func() {
		if recover() != nil { // a field of another name
			g = gnetLoop{}
		}
	}()
	conn := reflect.ValueOf(gc).Elem()
	context, ok := conn.Type().FieldByName("ctx")
	if !ok || context.Type != reflect.TypeFor[any]() {
		return g
	}
	el := conn.FieldByName("loop").Elem()
	g.conns = el.FieldByName("connections").Addr().UnsafePointer()
	g.context = context.Offset
	g.wake = int32(el.FieldByName("poller").Elem().FieldByName("efd").Int())
	g.loop = el.Addr().UnsafePointer()
	g.bell = int32(gc.Fd())
	if g.conn(int32(gc.Fd())) != conn.Addr().UnsafePointer() {
		return gnetLoop{}
	}
	return g
}

// conn returns gnet's connection with a descriptor, nil if there is none.
func (g *gnetLoop) conn(fd int32) unsafe.Pointer { return gnetConnOf(g.conns, int(fd)) }

// contextOf returns what SetContext was called with.
func (g *gnetLoop) contextOf(conn unsafe.Pointer) any { return *(*any)(unsafe.Add(conn, g.context)) }

// What gnet's client and its loop do with a connection, without duplicating its
// descriptor, parsing its addresses' text and waiting for the loop first, and without
// its way of waiting and reading. A name that is gone fails the build; parameters are
// compared by nobody, so go.mod must keep to the version whose are here, and
// TestGnetVersion sees to it. All are for the loop's goroutine.

//go:linkname newGnetConn github.com/panjf2000/gnet/v2.newStreamConn
func newGnetConn(proto string, fd int, loop unsafe.Pointer, peer unix.Sockaddr, local, remote net.Addr) unsafe.Pointer

//go:linkname registerGnetConn github.com/panjf2000/gnet/v2.(*eventloop).register0
func registerGnetConn(loop, conn unsafe.Pointer) error

//go:linkname closeGnetConn github.com/panjf2000/gnet/v2.(*eventloop).close
func closeGnetConn(loop, conn unsafe.Pointer, err error) error

//go:linkname processGnetConn github.com/panjf2000/gnet/v2.(*conn).processIO
func processGnetConn(conn unsafe.Pointer, fd int, events netpoll.IOEvent, flags netpoll.IOFlags) error

//go:linkname gnetConnOf github.com/panjf2000/gnet/v2.(*connMatrix).getConn
func gnetConnOf(conns unsafe.Pointer, fd int) unsafe.Pointer

// gnetVersion is the one whose inside is described here.
const gnetVersion = "v2.10.0"

// checkGnetVersion says if the program was built with another one, as far as the
// program knows.
func checkGnetVersion() error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil
	}
	for _, m := range info.Deps {
		if m.Path != "github.com/panjf2000/gnet/v2" {
			continue
		}
		if m.Replace != nil {
			m = m.Replace
		}
		if m.Version != gnetVersion {
			return fmt.Errorf("engine: built with gnet %s; it must be %s, whose inside is used", m.Version, gnetVersion)
		}
	}
	return nil
}

// unusedField is where a gnet connection keeps the callback that epoll would have to
// carry if it did not carry the descriptor, as it does (see pollerOf): 32 bytes that
// nobody reads.
type unusedField struct{ callback uintptr }

// unusedOf finds the field in the type of a gnet connection; zero if gnet is laid out
// differently, and then nothing is saved.
func unusedOf(gc gnet.Conn) (f unusedField) {
	t := reflect.TypeOf(gc).Elem()
	if t.Kind() != reflect.Struct {
		return f
	}
	if field, ok := t.FieldByName("pollAttachment"); ok && field.Type == reflect.TypeFor[netpoll.PollAttachment]() {
		f.callback = field.Offset + unsafe.Offsetof(netpoll.PollAttachment{}.Callback)
	}
	return f
}

// forget drops it.
func (f unusedField) forget(gc gnet.Conn) {
	if f.callback != 0 {
		*(*netpoll.PollEventHandler)(unsafe.Add(reflect.ValueOf(gc).UnsafePointer(), f.callback)) = nil
	}
}
