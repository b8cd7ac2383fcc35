package admin

import (
	"io"
	"net/http"
	"net/http/pprof"
	"slices"
	"strconv"
	"strings"
	"time"
)

const index = `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>throng admin</title>
<h1>throng admin</h1>
<ul>
<li><a href="/metrics">/metrics</a> for Prometheus
<li><a href="/healthz">/healthz</a> is the process alive
<li><a href="/readyz">/readyz</a> should it be sent newcomers
<li><a href="/v1/status">/v1/status</a>, <a href="/v1/connections">connections</a>, <a href="/v1/rooms">rooms</a>,
<a href="/v1/closes">closes</a> what the commands of the same names show
<li><a href="/debug/pprof/">/debug/pprof/</a> profiles
</ul>
</html>
`

func (s *Server) routes(source Source) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/healthz", only(http.HandlerFunc(healthz)))
	mux.Handle("/readyz", only(http.HandlerFunc(s.readyz)))
	mux.Handle("/metrics", s.reading(only(metricsHandler(source, s.logger))))
	mux.Handle("/debug/pprof/", s.reading(only(profiles())))
	// go tool pprof looks up names with a POST; nothing else here takes one.
	mux.Handle("/debug/pprof/symbol", s.reading(only(http.HandlerFunc(pprof.Symbol), http.MethodPost)))
	mux.Handle("/{$}", s.reading(only(http.HandlerFunc(home))))
	mux.Handle("/", s.reading(http.NotFoundHandler()))
	s.api(mux)
	return mux
}

// only answers OPTIONS, and lets GET, HEAD and what else is named through.
func only(next http.Handler, more ...string) http.Handler {
	methods := append([]string{http.MethodGet, http.MethodHead, http.MethodOptions}, more...)
	allow := strings.Join(methods, ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Cache-Control", "no-store")
		switch {
		case r.Method == http.MethodOptions:
			header.Set("Allow", allow)
			w.WriteHeader(http.StatusNoContent)
		case !slices.Contains(methods, r.Method):
			header.Set("Allow", allow)
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func healthz(w http.ResponseWriter, _ *http.Request) {
	plain(w, http.StatusOK, "ok\n")
}

func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	if s.ready != nil {
		if ok, why := s.ready(); !ok {
			plain(w, http.StatusServiceUnavailable, why+"\n")
			return
		}
	}
	plain(w, http.StatusOK, "ready\n")
}

func home(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	_, _ = io.WriteString(w, index)
}

func plain(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body) // a prober that has gone needs no answer
}

// profiles is net/http/pprof on a mux of its own, with a bound on how long one may take.
func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if v := r.FormValue("seconds"); v != "" {
			seconds, err := strconv.ParseFloat(v, 64)
			// Written so that NaN is refused too.
			if err != nil || !(seconds > 0 && seconds <= profileSecondsMax) {
				http.Error(w, "seconds is a number above 0, at most "+strconv.Itoa(profileSecondsMax),
					http.StatusBadRequest)
				return
			}
		}
		// A profile may outlast readTimeout, which would look like the client's end and cut it short.
		if err := http.NewResponseController(w).SetReadDeadline(time.Time{}); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		mux.ServeHTTP(w, r)
	})
}
