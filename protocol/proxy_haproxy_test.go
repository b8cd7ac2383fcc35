package protocol

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is for a busy machine: nothing that works waits so long.
const patience = 30 * time.Second

// way is one way through HAProxy: how a client comes in, and what goes out before its bytes.
type way struct {
	name    string
	in      string // a key of entrances; "" for HAProxy's own health checks
	server  string // what HAProxy's server line says behind the address
	version int
	local   bool
	tlvs    []byte // the types of TLV, sorted
}

var ways = []way{
	{name: "v1", in: "IPv4", server: "send-proxy", version: 1},
	{name: "v1 IPv6", in: "IPv6", server: "send-proxy", version: 1},
	{name: "v1 IPv4 as IPv6", in: "both", server: "send-proxy", version: 1},
	{name: "v1 Unix socket", in: "Unix", server: "send-proxy", version: 1, local: true},
	{name: "v1 check", server: "send-proxy check inter 50ms", version: 1},
	{name: "v2", in: "IPv4", server: "send-proxy-v2", version: 2},
	{name: "v2 IPv6", in: "IPv6", server: "send-proxy-v2", version: 2},
	{name: "v2 IPv4 as IPv6", in: "both", server: "send-proxy-v2", version: 2},
	{name: "v2 Unix socket", in: "Unix", server: "send-proxy-v2", version: 2, local: true},
	{name: "v2 checksum and unique id", in: "IPv4", server: "send-proxy-v2 proxy-v2-options crc32c,unique-id", version: 2,
		tlvs: []byte{proxyTLVCRC32C, 0x05}},
	{name: "v2 TLS", in: "TLS", server: "send-proxy-v2-ssl-cn proxy-v2-options cert-key,cert-sig,ssl-cipher,authority,crc32c,unique-id",
		version: 2, tlvs: []byte{0x02, proxyTLVCRC32C, 0x05, 0x20}},
	{name: "v2 check", server: "send-proxy-v2 check inter 50ms", version: 2, local: true},
	{name: "v2 check with a checksum", server: "send-proxy-v2 proxy-v2-options crc32c check inter 50ms", version: 2, local: true},
}

var entrances = map[string]struct{ network, address string }{
	"IPv4": {"tcp4", "127.0.0.1:0"},
	"IPv6": {"tcp6", "[::1]:0"},
	"both": {"tcp", "[::]:0"}, // IPv4 clients look like IPv6 ones
	"TLS":  {"tcp4", "127.0.0.1:0"},
	"Unix": {"unix", ""},
}

// TestHAProxy: what a real HAProxy sends in front of its clients' bytes is understood, in the smallest of pieces.
func TestHAProxy(t *testing.T) {
	program := haproxy(t)
	dir := t.TempDir()
	cert := filepath.Join(dir, "cert.pem")
	writeCertificate(t, cert)
	var config strings.Builder
	config.WriteString("global\n maxconn 100\n nbthread 1\ndefaults\n mode tcp\n unique-id-format %ci:%cp:%rt\n" +
		" timeout connect 30s\n timeout client 30s\n timeout server 30s\n")
	var inherited []*os.File
	var listeners []net.Listener
	backs, fronts := make([]net.Listener, len(ways)), make([]string, len(ways))
	for i, w := range ways {
		backs[i] = listen(t, "tcp4", "127.0.0.1:0")
		listeners = append(listeners, backs[i])
		fmt.Fprintf(&config, "listen l%d\n server s %s %s\n", i, backs[i].Addr(), w.server)
		if w.in == "" {
			continue
		}
		entrance := entrances[w.in]
		if w.in == "Unix" {
			entrance.address = filepath.Join(dir, fmt.Sprint(i))
		}
		front := listen(t, entrance.network, entrance.address)
		fronts[i] = strings.Replace(front.Addr().String(), "[::]", "127.0.0.1", 1)
		fmt.Fprintf(&config, " bind fd@%d", 3+len(inherited))
		if w.in == "TLS" {
			fmt.Fprintf(&config, " ssl crt %s", cert)
		}
		config.WriteString("\n")
		listeners, inherited = append(listeners, front), append(inherited, inherit(t, front))
	}
	name := filepath.Join(dir, "haproxy.cfg")
	if err := os.WriteFile(name, []byte(config.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	startHAProxy(t, program, name, inherited, listeners)
	for i, w := range ways {
		t.Run(w.name, func(t *testing.T) { w.travel(t, fronts[i], backs[i]) })
	}
}

// travel sends a client through HAProxy, or waits for a health check, and reads what arrives.
func (w way) travel(t *testing.T, front string, back net.Listener) {
	var said string
	var want ProxyHeader
	if w.in != "" {
		said = "GET / HTTP/1.1\r\n"
		client := w.connect(t, front)
		want.Source, want.Destination = addrPort(client.LocalAddr()), addrPort(client.RemoteAddr())
		if _, err := client.Write([]byte(said)); err != nil {
			t.Fatal(err)
		}
	}
	c, err := back.Accept()
	if err != nil {
		t.Fatalf("nothing came through HAProxy: %v", err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	if w.in == "" {
		want.Source, want.Destination = addrPort(c.RemoteAddr()), addrPort(c.LocalAddr())
	}
	if w.local {
		want = ProxyHeader{Local: true}
	}
	want.Version = w.version
	h, header, rest := readProxy(t, c, len(said))
	t.Logf("%q", header)
	if h != want {
		t.Errorf("%q was read as %+v, the connection is %+v", header, h, want)
	}
	if string(rest) != said {
		t.Errorf("behind the header came %q, not %q", rest, said)
	}
	if len(w.tlvs) > 0 {
		if kinds := tlvTypes(header[proxyV2HeadBytes+proxyAddressBytes(header[13]):]); !bytes.Equal(kinds, w.tlvs) {
			t.Errorf("TLVs of the types %#x, not %#x: %q", kinds, w.tlvs, header)
		}
	}
}

// tlvTypes lists the types in a sequence of TLVs that passed ParseProxy, sorted.
func tlvTypes(tlvs []byte) (types []byte) {
	for len(tlvs) > 0 {
		types = append(types, tlvs[0])
		tlvs = tlvs[3+int(binary.BigEndian.Uint16(tlvs[1:])):]
	}
	slices.Sort(types)
	return types
}

// connect is a client whose address, where it can have one of its own, is not the balancer's.
func (w way) connect(t *testing.T, front string) net.Conn {
	t.Helper()
	d := net.Dialer{Timeout: patience}
	network := entrances[w.in].network
	if network != "unix" && w.in != "IPv6" {
		d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 77)}
	}
	c, err := d.DialContext(t.Context(), network, front)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if w.in != "TLS" {
		return c
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	secure := tls.Client(c, &tls.Config{ServerName: "chat.example.com", InsecureSkipVerify: true})
	if err := secure.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return secure
}

// readProxy reads byte by byte, up to the header and so many bytes behind it.
func readProxy(t *testing.T, c net.Conn, behind int) (h ProxyHeader, header, rest []byte) {
	t.Helper()
	seen := []byte{}
	for n := 0; n == 0 || len(seen) < n+behind; {
		seen = append(seen, 0)
		if _, err := c.Read(seen[len(seen)-1:]); err != nil {
			t.Fatalf("after %q: %v", seen, err)
		}
		var err error
		if h, n, err = ParseProxy(seen); err != nil {
			t.Fatalf("%q: %v", seen, err)
		}
		header, rest = seen[:n], seen[n:]
	}
	return h, header, rest
}

func addrPort(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	at := tcp.AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

func listen(t *testing.T, network, address string) net.Listener {
	t.Helper()
	var config net.ListenConfig
	config.SetMultipathTCP(false)
	l, err := config.Listen(t.Context(), network, address)
	if err != nil {
		t.Fatalf("%v (this test needs IPv4 and IPv6 on the loopback)", err)
	}
	if tcp, ok := l.(*net.TCPListener); ok {
		_ = tcp.SetDeadline(time.Now().Add(patience))
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// inherit is the listener's descriptor for HAProxy: no port has to be guessed, and whoever connects before HAProxy is up waits.
func inherit(t *testing.T, l net.Listener) *os.File {
	t.Helper()
	f, err := l.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// haproxy finds the program. Where it is missing the test is skipped, or fails where everything has to be.
func haproxy(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"haproxy", "/usr/sbin/haproxy"} {
		if program, err := exec.LookPath(name); err == nil {
			return program
		}
	}
	if os.Getenv("THRONG_REQUIRE_ALL") == "1" {
		t.Fatal("haproxy is not installed, and THRONG_REQUIRE_ALL=1")
	}
	t.Skip("skipped: haproxy is not installed")
	return ""
}

// startHAProxy runs it until the end of the test. If it ends before, nobody waits for it: its listeners and its servers' are closed.
func startHAProxy(t *testing.T, program, config string, inherited []*os.File, listeners []net.Listener) {
	t.Helper()
	var says bytes.Buffer
	cmd := exec.Command(program, "-db", "-f", config)
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = &says, &says, inherited
	// A test that is killed leaves no balancer behind.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		for _, l := range listeners {
			_ = l.Close()
		}
		for _, f := range inherited {
			_ = f.Close()
		}
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("haproxy says:\n%s", says.String())
		}
	})
}

// writeCertificate writes one that HAProxy can present, with its key.
func writeCertificate(t *testing.T, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"chat.example.com"}, NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	text = append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})...)
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
