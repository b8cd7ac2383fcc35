// Package outsider has a source of metrics and does not import admin: what the engine will be like.
package outsider

// Engine counts one thing of each kind.
type Engine struct{ Connections float64 }

// Metrics spells out admin.Visitor.
func (e Engine) Metrics(v interface {
	Counter(name, help string, value float64, labels ...string)
	Gauge(name, help string, value float64, labels ...string)
	Histogram(name, help string, bounds []float64, counts []uint64, sum float64, labels ...string)
}) {
	v.Gauge("throng_connections", "Open connections.", e.Connections)
	v.Counter("throng_closed_total", "Closed connections by reason.", 7, "reason", "idle")
	v.Counter("throng_closed_total", "Closed connections by reason.", 2, "reason", "slow")
	v.Histogram("throng_loop_lag_seconds", "How late a loop's turn came.",
		[]float64{0.001, 0.01}, []uint64{5, 3, 1}, 0.5, "loop", "0")
}
