package broker

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestDeployedCluster: three servers with deploy/nats.conf take a node, store what it says three times over, let it read, and let it do no more than it
// needs; without TLS, and with what the file has behind a #.
func TestDeployedCluster(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "deploy", "nats.conf"))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("NATS_PASSWORD", "secret")
	for _, encrypted := range []bool{false, true} {
		t.Run(fmt.Sprintf("TLS=%t", encrypted), func(t *testing.T) {
			cfg := Config{Node: "a", Replicas: 3, Streams: []Stream{{Name: "inbox", Messages: 1000, Bytes: 10 << 30}, {Name: "rooms", Messages: 1000, Bytes: 10 << 30}}}
			scheme, whole := "nats", string(text)
			if encrypted {
				scheme, whole = "tls", regexp.MustCompile(`(?ms)^#tls \{.*?^#\}$`).ReplaceAllStringFunc(whole, func(block string) string {
					return regexp.MustCompile(`(?m)^#`).ReplaceAllString(block, "")
				})
				if !strings.Contains(whole, "\ntls {") {
					t.Fatal("the file has no block for TLS")
				}
				dir := t.TempDir()
				certificates(t, dir)
				whole = strings.ReplaceAll(whole, "/etc/nats/", dir+"/")
				cfg.CA, cfg.Cert, cfg.Key = filepath.Join(dir, "ca.pem"), filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.key")
			}
			for _, address := range startDeployed(t, whole) {
				cfg.URLs = append(cfg.URLs, scheme+"://throng:secret@"+address)
			}
			r := open(t, cfg).ready()
			var last Ack
			for i := range 20 {
				last = r.mustPublish(1, "tea", fmt.Sprint(i), fmt.Sprint("text ", i))
			}
			if again := r.mustPublish(1, "tea", "19", "text 19"); !again.Duplicate || again.Seq != last.Seq {
				t.Error(again)
			}
			if messages, more, err := r.ReadBefore(t.Context(), 1, "tea", 0, 5); err != nil || len(messages) != 5 || !more || string(messages[4].Data) != "text 19" {
				t.Error(messages, more, err)
			}
			if messages, err := r.Read(t.Context(), 1, "tea", 0, 100); err != nil || len(messages) != 20 {
				t.Error(len(messages), err)
			}
			if m, err := r.Last(t.Context(), 1, "tea"); err != nil || m.Seq != last.Seq {
				t.Error(m, err)
			}
			other := open(t, Config{Node: "b", Replicas: 3, Streams: cfg.Streams, URLs: cfg.URLs, CA: cfg.CA, Cert: cfg.Cert, Key: cfg.Key}).ready()
			for end := time.Now().Add(20 * time.Second); len(r.Nodes()) == 0; time.Sleep(5 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatal("the nodes do not hear of each other")
				}
			}
			if err := other.Watch(1, "tea"); err != nil {
				t.Error(err)
			}
			if _, err := other.Last(t.Context(), 1, "tea"); err != nil {
				t.Error(err)
			}
			if err := r.Broker.Cast("tea", []byte("hello")); err != nil {
				t.Error(err)
			}
			other.await("what the other says", func() bool { return len(other.casts) > 0 })
			if info, err := r.js.Stream(t.Context(), "throng-rooms"); err != nil || info.CachedInfo().Config.Replicas != 3 {
				t.Error(info, err)
			}
			if _, err := r.main.Request("$JS.API.STREAM.DELETE.throng-rooms", nil, 200*time.Millisecond); err == nil {
				t.Error("a node may delete a stream")
			}
		})
	}
}

// startDeployed starts three servers with a configuration in which what differs between machines is put in, and returns where they listen.
func startDeployed(t *testing.T, text string) (addresses []string) {
	t.Helper()
	var routes []string
	for range 3 {
		addresses = append(addresses, fmt.Sprintf("127.0.0.1:%d", freePort(t)))
		routes = append(routes, fmt.Sprintf("127.0.0.1:%d", freePort(t)))
	}
	replace := func(s *string, pattern, with string) {
		t.Helper()
		found := regexp.MustCompile(pattern)
		if !found.MatchString(*s) {
			t.Fatalf("the file has no %s", pattern)
		}
		*s = found.ReplaceAllLiteralString(*s, with)
	}
	replace(&text, `routes: \[.*\]`, "routes: [nats://"+strings.Join(routes, ", nats://")+"]")
	replace(&text, `(?m)^http: .*$`, "")
	for i := range 3 {
		one, dir := text, t.TempDir()
		replace(&one, `(?m)^server_name: .*$`, fmt.Sprintf("server_name: nats-%d", i+1))
		replace(&one, `(?m)^listen: \S+$`, "listen: "+addresses[i])
		replace(&one, `(?m)^    listen: \S+$`, "    listen: "+routes[i])
		replace(&one, `store_dir: \S+`, "store_dir: "+filepath.Join(dir, "store"))
		file := filepath.Join(dir, "nats.conf")
		if err := os.WriteFile(file, []byte(one), 0o600); err != nil {
			t.Fatal(err)
		}
		startNATS(t, childOrder{Name: fmt.Sprint("nats-", i+1), Config: file})
	}
	return addresses
}

// certificates writes an authority and one certificate of its own for both sides.
func certificates(t *testing.T, dir string) {
	t.Helper()
	write := func(name, kind string, der []byte) error {
		return os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
	}
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	authority := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	own := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "nats"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	authorityDER, err := x509.CreateCertificate(rand.Reader, authority, authority, &authorityKey.PublicKey, authorityKey)
	if err != nil {
		t.Fatal(err)
	}
	ownDER, err := x509.CreateCertificate(rand.Reader, own, authority, &key.PublicKey, authorityKey)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(write("ca.pem", "CERTIFICATE", authorityDER), write("server.pem", "CERTIFICATE", ownDER), write("server.key", "PRIVATE KEY", keyDER)); err != nil {
		t.Fatal(err)
	}
}
