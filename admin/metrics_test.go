package admin_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"throng/admin"
	"throng/admin/testdata/outsider"
)

func TestMetricsAreToldAndClean(t *testing.T) {
	_, addr := start(t, admin.Config{Source: outsider.Engine{Connections: 3}})
	res, body := get(t, addr, "/metrics")
	if res.StatusCode != 200 {
		t.Fatalf("%d %q", res.StatusCode, body)
	}
	for _, line := range []string{
		"# HELP throng_connections Open connections.",
		"# TYPE throng_connections gauge",
		"throng_connections 3",
		"# TYPE throng_closed_total counter",
		`throng_closed_total{reason="idle"} 7`,
		`throng_closed_total{reason="slow"} 2`,
		"# TYPE throng_loop_lag_seconds histogram",
		`throng_loop_lag_seconds_bucket{loop="0",le="0.001"} 5`,
		`throng_loop_lag_seconds_bucket{loop="0",le="0.01"} 8`,
		`throng_loop_lag_seconds_bucket{loop="0",le="+Inf"} 9`,
		`throng_loop_lag_seconds_sum{loop="0"} 0.5`,
		`throng_loop_lag_seconds_count{loop="0"} 9`,
		"# TYPE go_goroutines gauge",
		"# TYPE go_cpu_classes_gc_total_cpu_seconds_total counter",
		"# TYPE go_sched_pauses_stopping_gc_seconds histogram",
		"# TYPE go_sched_pauses_total_gc_seconds histogram",
		"# TYPE process_open_fds gauge",
	} {
		if !strings.Contains(body, line+"\n") {
			t.Errorf("missing: %s", line)
		}
	}
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	if res, _ := ask(t, addr, "HEAD /metrics HTTP/1.1\nHost: "+addr+"\nConnection: close\n\n"); res.StatusCode != 200 {
		t.Errorf("HEAD: %d", res.StatusCode)
	}
}

// source is told by a function.
type source func(admin.Visitor)

func (s source) Metrics(v admin.Visitor) { s(v) }

func TestOneBadMetricDoesNotHideTheOthers(t *testing.T) {
	for name, bad := range map[string]func(admin.Visitor){
		"label without value":  func(v admin.Visitor) { v.Counter("throng_bad_total", "Bad.", 1, "reason") },
		"histogram, too few":   func(v admin.Visitor) { v.Histogram("throng_bad", "Bad.", []float64{1}, []uint64{1}, 0) },
		"histogram, unordered": func(v admin.Visitor) { v.Histogram("throng_bad", "Bad.", []float64{2, 1}, []uint64{1, 1, 1}, 0) },
		"histogram, label":     func(v admin.Visitor) { v.Histogram("throng_bad", "Bad.", nil, []uint64{1}, 0, "reason") },
		"value not UTF-8":      func(v admin.Visitor) { v.Gauge("throng_bad", "Bad.", 1, "reason", "\xff") },
		"label twice":          func(v admin.Visitor) { v.Gauge("throng_bad", "Bad.", 1, "a", "1", "a", "2") },
		"panic":                func(admin.Visitor) { panic("bad") },
		"said twice": func(v admin.Visitor) {
			v.Gauge("throng_bad", "Bad.", 1)
			v.Gauge("throng_bad", "Bad.", 2)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var log syncBuffer
			_, addr := start(t, admin.Config{
				Logger: slog.New(slog.NewTextHandler(&log, nil)),
				Source: source(func(v admin.Visitor) {
					v.Gauge("throng_good", "Good.", 1)
					bad(v)
				}),
			})
			res, body := get(t, addr, "/metrics")
			if res.StatusCode != 200 || !strings.Contains(body, "throng_good 1\n") {
				t.Errorf("%d %q", res.StatusCode, body)
			}
			if !strings.Contains(log.String(), "bad") {
				t.Errorf("not logged: %q", log.String())
			}
			if _, body := get(t, addr, "/metrics"); !strings.Contains(body, `errors_total{cause="gathering"} 1`) {
				t.Error("not counted")
			}
		})
	}
}

func TestScrapesAtOnceVisitOneByOne(t *testing.T) {
	visits := 0 // the race detector sees two at once
	_, addr := start(t, admin.Config{Source: source(func(v admin.Visitor) {
		visits++
		v.Gauge("throng_visits", "Visits.", float64(visits))
	})})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			res, err := http.Get("http://" + addr + "/metrics")
			if err != nil {
				t.Error(err)
				return
			}
			res.Body.Close()
		})
	}
	wg.Wait()
	if _, body := get(t, addr, "/metrics"); !strings.Contains(body, "throng_visits 5\n") {
		t.Error("not five visits")
	}
}

// syncBuffer is a log that a test reads while the server may still write.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
