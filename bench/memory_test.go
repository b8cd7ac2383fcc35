package bench

import (
	"io"
	"runtime"
	"testing"
	"time"
)

// TestConnectionIsSmall holds what a worker takes for a connection that it holds: less than 1 KB of heap.
func TestConnectionIsSmall(t *testing.T) {
	const conns, bytesMax = 5000, 1 << 10
	server := ideal(t, true)
	target, err := resolveTarget(server)
	if err != nil {
		t.Fatal(err)
	}
	commands, say := io.Pipe()
	from, answers := io.Pipe()
	done := make(chan struct{})
	go func() {
		serveWorker(commands, answers, nil)
		close(done)
	}()
	m, news := &member{to: say, ended: make(chan struct{})}, make(chan news, 16)
	c := &crew{news: news, over: make(chan struct{}), opts: &Options{}}
	c.members = []*member{m}
	c.series.init(1, nil)
	go c.listen(m, from)
	defer func() {
		c.close()
		<-done
	}()
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return int64(s.HeapAlloc + s.StackInuse)
	}
	ask := func(cmd command, is string) message {
		m.tell(cmd)
		got, err := c.await(t.Context(), is, nil)
		if err != nil {
			t.Fatal(err)
		}
		return got[0]
	}
	s := spec{Hi: conns + 100, Conns: conns + 100, Senders: 1, Rate: 100, Payload: 32, Targets: []targetSpec{target}, Epoch: now()}
	ask(command{Do: doSetup, Spec: &s}, isReady)
	ask(command{Do: doConnect, Upto: 100}, isConnected)
	before := heap()
	ask(command{Do: doConnect, Upto: conns + 100}, isConnected)
	stopped := ask(command{Do: doStart, At: now(), From: now(), To: now() + 300*time.Millisecond}, isStopped)
	got := ask(command{Do: doDrain, Sent: []uint32{stopped.Sent[0].N}, Quiet: quietDefault}, isResult)
	if got.Open != conns+100 || got.Result.Faults.Any() {
		t.Errorf("%d open, faults %s", got.Open, got.Result.Faults)
	}
	// The yardstick's side of the connections is in this process too, and counts here.
	worker := float64(conns+100) * 96 // was there before
	each := (float64(heap()-before) + worker) / conns
	t.Logf("%.0f bytes a connection, the yardstick's end of it included", each)
	if each > bytesMax {
		t.Errorf("%.0f bytes a connection, want %d at most", each, bytesMax)
	}
}
