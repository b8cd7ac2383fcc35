package bench

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// node answers as the private port of a throng node does; n grows with every scrape.
func node(t *testing.T) *httptest.Server {
	t.Helper()
	n := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n++
		fmt.Fprintf(w, "# TYPE throng_deliveries_total counter\nthrong_deliveries_total %d\n", 1000*n)
		fmt.Fprintf(w, "# TYPE throng_batch_messages histogram\nthrong_batch_messages_bucket{le=\"1\"} 0\n"+
			"throng_batch_messages_bucket{le=\"+Inf\"} %d\nthrong_batch_messages_sum %d\nthrong_batch_messages_count %d\n", 100*n, 1000*n, 100*n)
		fmt.Fprintf(w, "# TYPE go_gc_duration_seconds summary\ngo_gc_duration_seconds{quantile=\"0\"} 0.0001\n"+
			"go_gc_duration_seconds{quantile=\"1\"} 0.0005\ngo_gc_duration_seconds_sum 0.1\ngo_gc_duration_seconds_count 9\n")
		fmt.Fprintf(w, "# TYPE go_cpu_classes_gc_total_cpu_seconds_total counter\ngo_cpu_classes_gc_total_cpu_seconds_total %g\n", 0.01*float64(n))
		fmt.Fprintf(w, "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total %g\n", 0.5*float64(n))
		fmt.Fprintf(w, "# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes 1.5e+07\n# TYPE process_open_fds gauge\nprocess_open_fds 22\n")
	}))
	t.Cleanup(s.Close)
	return s
}

func TestLookAtNodes(t *testing.T) {
	a, b := node(t), node(t)
	w, err := newWatch(nil, []string{a.URL, strings.TrimPrefix(b.URL, "http://")})
	if err != nil {
		t.Fatal(err)
	}
	from, err := w.look()
	if err != nil {
		t.Fatal(err)
	}
	to, err := w.lookPSS()
	if err != nil {
		t.Fatal(err)
	}
	if from.deliveries != 4000 || to.deliveries != 6000 || to.writes != 600 {
		t.Errorf("deliveries %d, then %d, writes %d", from.deliveries, to.deliveries, to.writes)
	}
	if batch := from.batch(to); batch != 10 {
		t.Errorf("%g deliveries a write", batch)
	}
	if from.rss != 30e6 || from.fds != 44 || to.cpu-from.cpu != time.Second || to.gcPause != 500*time.Microsecond {
		t.Errorf("rss %d, fds %d, cpu %s, pause %s", from.rss, from.fds, to.cpu-from.cpu, to.gcPause)
	}
	if share := from.gcShare(to); share < 0.0199 || share > 0.0201 {
		t.Errorf("%g of the CPU collects garbage", share)
	}
	if to.slab == 0 || to.pss != 0 || to.batch(to) != 0 || to.gcShare(to) != 0 {
		t.Errorf("slab %d, pss %d", to.slab, to.pss)
	}
}

// TestLookAtProcess: the processes' own figures are read where they can be, and twice the process is twice as much.
func TestLookAtProcess(t *testing.T) {
	w, err := newWatch([]int{os.Getpid(), os.Getpid()}, []string{node(t).URL})
	if err != nil {
		t.Fatal(err)
	}
	extra, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = extra.Close() }()
	l, err := w.lookPSS()
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	// Reading the folder has one open itself, and a connection to the node may be on its way out.
	if least := 2 * (len(entries) - 3); l.fds < least || l.fds > least+8 {
		t.Errorf("%d descriptors, %d are open", l.fds, len(entries))
	}
	if l.rss < 2<<20 || l.pss < 2<<20 || l.rss == 30e6 {
		t.Errorf("rss %d, pss %d", l.rss, l.pss)
	}
	burn := time.Now()
	for ownCPU() == 0 || time.Since(burn) < 50*time.Millisecond {
		continue
	}
	if later, err := w.look(); err != nil || later.cpu <= l.cpu {
		t.Errorf("CPU %s, then %s, %v", l.cpu, later.cpu, err)
	}
}

func TestServerThatVanishes(t *testing.T) {
	c := exec.Command("sleep", "60")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	w, err := newWatch([]int{c.Process.Pid}, nil)
	if err != nil {
		t.Error(err)
	}
	_ = c.Process.Kill()
	// Its parent has not taken leave of it: it stays as a zombie.
	_ = unix.Waitid(unix.P_PID, c.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
	for _, state := range []string{"a zombie", "gone"} {
		if _, err := w.lookPSS(); err == nil || !strings.Contains(err.Error(), "has ended") {
			t.Errorf("%s: got %v", state, err)
		}
		_ = c.Wait()
	}
	if _, err := newWatch([]int{c.Process.Pid}, nil); err == nil {
		t.Error("a process that is not there was taken")
	}
	gone := node(t)
	if w, err = newWatch(nil, []string{gone.URL}); err != nil {
		t.Fatal(err)
	}
	gone.Close()
	if _, err := w.look(); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v", err)
	}
}

func TestMetricsOfSomethingElse(t *testing.T) {
	answers := map[string]string{
		"/other":   "# TYPE other_total counter\nother_total 1\n",
		"/page":    "<html>hello</html>",
		"/nowhere": "",
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/nowhere" {
			w.WriteHeader(http.StatusNotFound)
		}
		fmt.Fprint(w, answers[r.URL.Path])
	}))
	defer s.Close()
	for at, want := range map[string]string{
		s.URL + "/other":   "not those of a throng node",
		s.URL + "/page":    "does not answer with metrics",
		s.URL + "/nowhere": "404",
		"ftp://somewhere/": "want http://HOST:PORT/metrics",
		"http://":          "want http://HOST:PORT/metrics",
	} {
		if _, err := newWatch(nil, []string{at}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q in it", at, err, want)
		}
	}
}
