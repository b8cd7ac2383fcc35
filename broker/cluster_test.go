package broker

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestCluster: three servers with a copy each. Every acknowledged message is there, once, after the server that numbers them was killed in the middle.
func TestCluster(t *testing.T) {
	var routes []string
	var orders []childOrder
	for i := range 3 {
		o := childOrder{Name: fmt.Sprint("s", i), RoutePort: freePort(t)}
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", o.RoutePort))
		orders = append(orders, o)
	}
	servers := map[string]*natsServer{}
	var urls []string
	for _, o := range orders {
		o.Routes = strings.Join(routes, ",")
		s := startNATS(t, o)
		servers[o.Name] = s
		urls = append(urls, s.url())
	}
	streams := []Stream{{Name: "main", Messages: 10_000}}
	a := open(t, Config{URLs: urls, Node: "a", Replicas: 3, Streams: streams}).ready()
	b := open(t, Config{URLs: []string{urls[2], urls[1], urls[0]}, Node: "b", Replicas: 3, Streams: streams}).ready()
	if err := b.Watch(0, "tea"); err != nil {
		t.Fatal(err)
	}
	const n = 2000
	seqs := make([]uint64, n)
	for i := range n {
		if i == n/2 {
			stream, err := a.js.Stream(t.Context(), "throng-main")
			if err != nil {
				t.Fatal(err)
			}
			leader := stream.CachedInfo().Cluster.Leader
			t.Logf("killing %s", leader)
			servers[leader].kill()
		}
		for {
			ack, err := a.publish(0, "tea", fmt.Sprint("id", i), fmt.Sprint(i))
			if err == nil {
				seqs[i] = ack.Seq
				break
			}
			if !errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrTimeout) {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	for _, r := range []*rig{a, b} {
		messages, err := r.Read(t.Context(), 0, "tea", 0, 2*n)
		for end := time.Now().Add(20 * time.Second); err != nil && time.Now().Before(end); messages, err = r.Read(t.Context(), 0, "tea", 0, 2*n) {
			time.Sleep(10 * time.Millisecond)
		}
		if err != nil {
			t.Fatal(err)
		}
		var stored []uint64
		for i, m := range messages {
			stored = append(stored, m.Seq)
			if string(m.Data) != fmt.Sprint(i) {
				t.Fatalf("at %d stands %s", i, m.Data)
			}
		}
		if !slices.Equal(stored, seqs) {
			t.Fatalf("%d stored, %d acknowledged", len(stored), len(seqs))
		}
		if m, err := r.Last(t.Context(), 0, "tea"); err != nil || m.Seq != seqs[n-1] || string(m.Data) != fmt.Sprint(n-1) || m.Time.IsZero() {
			t.Fatal(m, err)
		}
		if m, err := r.Last(t.Context(), 0, "nobody"); err != nil || m.Seq != 0 {
			t.Fatal(m, err)
		}
	}
}
