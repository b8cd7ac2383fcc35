package admin

import (
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Visitor is told every metric of a scrape. Labels are name, value, name, value and so on.
//
// It is an alias of a literal on purpose: a package that spells out the same literal in its method
// Metrics is a Source without importing this one. With a defined type it would have to.
type Visitor = interface {
	Counter(name, help string, value float64, labels ...string)
	Gauge(name, help string, value float64, labels ...string)
	// Histogram takes len(bounds)+1 counts, one per bucket and not cumulative; the last is for what
	// is above all bounds.
	Histogram(name, help string, bounds []float64, counts []uint64, sum float64, labels ...string)
}

// Source is what the metrics are read from. Metrics runs on the scrape's goroutine, one call at a
// time, and must not make a loop wait: it reads what the loops have published.
type Source interface {
	Metrics(v Visitor)
}

// collecting matches what the Go runtime says, beside the collector's usual metrics, of what collecting garbage costs: its
// share of the CPU time, which the runtime counts anew at the end of each collection, how long the world stood still, and how much of that
// it took to stop it. The runtime reads the end of the whole after it has woken the others, so on a full machine they may be running already.
var collecting = regexp.MustCompile(`^(/cpu/classes/gc/total:cpu-seconds|/sched/pauses/(total|stopping)/gc:seconds)$`)

// metricsHandler serves the source, the Go runtime and the process. A metric that cannot be told is
// left out, logged and counted (promhttp_metric_handler_errors_total); the others are told.
func metricsHandler(source Source, logger *slog.Logger) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(collectors.GoRuntimeMetricsRule{Matcher: collecting})),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	if source != nil {
		registry.MustRegister(&collector{source: source})
	}
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
		ErrorHandling:       promhttp.ContinueOnError,
		Registry:            registry,
		MaxRequestsInFlight: scrapesMax,
		Timeout:             scrapeTimeout,
	})
}

// collector turns one visit into one scrape. Which metrics there are is known only during the visit,
// so nothing is described beforehand; the registry checks what comes for consistency.
type collector struct {
	mu     sync.Mutex // two scrapers are two goroutines, a source sees one call at a time
	source Source
}

func (c *collector) Describe(chan<- *prometheus.Desc) {}

func (c *collector) Collect(out chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// This runs on a goroutine of the registry, where a panic would end the process.
	defer func() {
		if p := recover(); p != nil {
			refuse(out, "source", fmt.Errorf("the metrics' source panicked: %v", p))
		}
	}()
	c.source.Metrics(visit{out})
}

// visit is the Visitor of one scrape.
type visit struct{ out chan<- prometheus.Metric }

func (v visit) Counter(name, help string, value float64, labels ...string) {
	v.value(prometheus.CounterValue, name, help, value, labels)
}

func (v visit) Gauge(name, help string, value float64, labels ...string) {
	v.value(prometheus.GaugeValue, name, help, value, labels)
}

func (v visit) Histogram(name, help string, bounds []float64, counts []uint64, sum float64, labels ...string) {
	if len(counts) != len(bounds)+1 {
		refuse(v.out, name, fmt.Errorf("%s: %d counts for %d bounds", name, len(counts), len(bounds)))
		return
	}
	buckets := make(map[float64]uint64, len(bounds))
	total := uint64(0)
	for i, bound := range bounds {
		if i > 0 && bound <= bounds[i-1] {
			refuse(v.out, name, fmt.Errorf("%s: its bounds do not rise", name))
			return
		}
		total += counts[i]
		buckets[bound] = total
	}
	total += counts[len(bounds)]
	desc, values, err := describe(name, help, labels)
	if err != nil {
		refuse(v.out, name, err)
		return
	}
	v.tell(name)(prometheus.NewConstHistogram(desc, total, sum, buckets, values...))
}

func (v visit) value(kind prometheus.ValueType, name, help string, value float64, labels []string) {
	desc, values, err := describe(name, help, labels)
	if err != nil {
		refuse(v.out, name, err)
		return
	}
	v.tell(name)(prometheus.NewConstMetric(desc, kind, value, values...))
}

// tell passes a metric on, or what is wrong with it.
func (v visit) tell(name string) func(prometheus.Metric, error) {
	return func(m prometheus.Metric, err error) {
		if err != nil {
			refuse(v.out, name, err)
			return
		}
		v.out <- m
	}
}

// describe splits label pairs into a description and the values in its order.
func describe(name, help string, labels []string) (*prometheus.Desc, []string, error) {
	if len(labels)%2 != 0 {
		return nil, nil, fmt.Errorf("%s: label %q has no value", name, labels[len(labels)-1])
	}
	names := make([]string, 0, len(labels)/2)
	values := make([]string, 0, len(labels)/2)
	for pair := range slices.Chunk(labels, 2) {
		names = append(names, pair[0])
		values = append(values, pair[1])
	}
	return prometheus.NewDesc(name, help, names, nil), values, nil
}

// refuse leaves one metric out of the scrape and has the handler log and count why.
func refuse(out chan<- prometheus.Metric, name string, err error) {
	out <- prometheus.NewInvalidMetric(prometheus.NewInvalidDesc(fmt.Errorf("%s: %w", name, err)), err)
}
