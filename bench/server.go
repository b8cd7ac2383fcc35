package bench

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// watch looks at servers from outside: at processes through /proc, and at the metrics of throng nodes over their
// private port. Where both are given, processes tell of CPU and memory, and nodes of messages and collections.
type watch struct {
	pids    []int
	metrics []string
	http    *http.Client
}

// look is what was seen at an instant, over all servers together; the difference of two is what happened between.
// What nobody tells is 0.
type look struct {
	at  time.Time
	cpu time.Duration
	rss int64
	pss int64 // lookPSS only
	fds int

	deliveries uint64
	writes     uint64        // of messages, so that deliveries by writes is the batch
	gcCPU      time.Duration // as the runtime estimates it, at the end of each collection
	gcPause    time.Duration // the longest of any server's last 256 collections

	slab    int64 // of the whole machine
	buffers int64 // pages in TCP's buffers, of the whole machine
}

// How long a node may take to tell its metrics, and how much they may be.
const (
	scrapeTimeout  = 5 * time.Second
	scrapeBytesMax = 4 << 20
)

// newWatch looks once, so that a mistake in what to look at shows before the run.
func newWatch(pids []int, metrics []string) (*watch, error) {
	// Without connections that are kept there is nothing to close afterwards.
	w := &watch{pids: pids, http: &http.Client{Timeout: scrapeTimeout, Transport: &http.Transport{DisableKeepAlives: true}}}
	for _, given := range metrics {
		at, err := metricsURL(given)
		if err != nil {
			return nil, err
		}
		w.metrics = append(w.metrics, at)
	}
	_, err := w.look()
	return w, err
}

// metricsURL completes what people type: 127.0.0.1:8081 is as good as http://127.0.0.1:8081/metrics.
func metricsURL(given string) (string, error) {
	full := given
	if !strings.Contains(full, "://") {
		full = "http://" + full
	}
	u, err := url.Parse(full)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", fmt.Errorf("--metrics %q: want http://HOST:PORT/metrics, the private port of a throng node", given)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/metrics"
	}
	return u.String(), nil
}

// look reads everything that is cheap.
func (w *watch) look() (look, error) {
	l := look{at: time.Now()}
	for _, pid := range w.pids {
		cpu, err1 := cpuTime(pid)
		rss, err2 := rssBytes(pid)
		fds, err3 := openFiles(pid)
		if err := firstError(err1, err2, err3); err != nil {
			return l, fmt.Errorf("the server: %w", err)
		}
		l.cpu, l.rss, l.fds = l.cpu+cpu, l.rss+rss, l.fds+fds
	}
	for _, at := range w.metrics {
		told, err := w.scrape(at)
		if err != nil {
			return l, err
		}
		l.add(told, len(w.pids) == 0)
	}
	l.slab, l.buffers = kernelMemory()
	return l, nil
}

// lookPSS reads the proportional set size of the processes as well.
func (w *watch) lookPSS() (look, error) {
	l, err := w.look()
	if err != nil {
		return l, err
	}
	for _, pid := range w.pids {
		pss, err := pssBytes(pid)
		if err != nil {
			return l, fmt.Errorf("the server: %w", err)
		}
		l.pss += pss
	}
	return l, nil
}

// firstError: when a process ends, every reading of it fails in the same way, and once said is enough.
func firstError(errs ...error) error {
	i := slices.IndexFunc(errs, func(err error) bool { return err != nil })
	if i < 0 {
		return nil
	}
	return errs[i]
}

// scraped is a node's metrics by name, labels added up.
type scraped map[string]float64

// add takes what a node tells; of its process only when nobody looks at that.
func (l *look) add(told scraped, process bool) {
	l.deliveries += uint64(told["throng_deliveries_total"])
	l.writes += uint64(told["throng_batch_messages"])
	l.gcCPU += seconds(told["go_cpu_classes_gc_total_cpu_seconds_total"])
	l.gcPause = max(l.gcPause, seconds(told["go_gc_duration_seconds"]))
	if process {
		l.cpu += seconds(told["process_cpu_seconds_total"])
		l.rss += int64(told["process_resident_memory_bytes"])
		l.fds += int(told["process_open_fds"])
	}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// batch is the deliveries a write between two looks, 0 when nobody tells.
func (l look) batch(to look) float64 {
	if to.writes <= l.writes {
		return 0
	}
	return float64(to.deliveries-l.deliveries) / float64(to.writes-l.writes)
}

// gcShare is the part of the servers' CPU time between two looks that went into collecting garbage.
func (l look) gcShare(to look) float64 {
	if to.cpu <= l.cpu {
		return 0
	}
	return (to.gcCPU - l.gcCPU).Seconds() / (to.cpu - l.cpu).Seconds()
}

// scrape reads a node's metrics.
func (w *watch) scrape(at string) (scraped, error) {
	res, err := w.http.Get(at)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return nil, fmt.Errorf("no metrics from %s: %w; is the server still there, and is this its private port (--admin)?", at, err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("no metrics from %s: it answers %s; want the private port of a throng node (--admin)", at, res.Status)
	}
	told, err := readMetrics(io.LimitReader(res.Body, scrapeBytesMax))
	if err != nil {
		return nil, fmt.Errorf("%s does not answer with metrics: %w; want the private port of a throng node (--admin)", at, err)
	}
	if _, ok := told["throng_deliveries_total"]; !ok {
		return nil, fmt.Errorf("%s has metrics, but not those of a throng node (no throng_deliveries_total)", at)
	}
	return told, nil
}

// readMetrics parses a scrape. A histogram gives its count, a summary its highest quantile, which is what is asked for
// of the one of each that matters here.
func readMetrics(r io.Reader) (scraped, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(r)
	if err != nil {
		return nil, err
	}
	told := make(scraped, len(families))
	for name, family := range families {
		for _, m := range family.GetMetric() {
			switch {
			case m.Summary != nil:
				for _, q := range m.GetSummary().GetQuantile() {
					told[name] = max(told[name], q.GetValue())
				}
			case m.Histogram != nil:
				told[name] += float64(m.GetHistogram().GetSampleCount())
			default:
				told[name] += m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue()
			}
		}
	}
	return told, nil
}
