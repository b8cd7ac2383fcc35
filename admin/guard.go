package admin

import (
	"net"
	"net/http"
	"strings"
)

// guard keeps web pages out. A page somebody on this machine has open can make their browser ask
// 127.0.0.1 for anything; three things give such a request away:
//
//   - Origin: scrapers, probers and people typing an address send none; a script does.
//   - Host: with DNS rebinding the page's own name resolves to this machine and the browser sees no
//     foreign origin, but it still says the page's name.
//   - Sec-Fetch-Site: an <img> or a form sends no Origin, and says that it comes from elsewhere.
//
// No page reaches a Unix socket, so there only the first and the last are looked at. Health and readiness tell a page nothing, and balancers send all kinds of Host: not guarded.
type guard struct {
	configured string // the host of Config.Addr, which may be a name
}

func (g guard) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if why := g.refuses(r); why != "" {
			deny(w, r, &Refusal{Status: http.StatusForbidden, Text: why})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// refuses says why a request is turned away, or nothing.
func (g guard) refuses(r *http.Request) string {
	if _, sent := r.Header["Origin"]; sent {
		return "requests with an Origin are refused here: web pages have no business with this server"
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
	default:
		return "requests that other sites start are refused here"
	}
	if !peerOf(r.Context()).local && !g.owns(r) {
		return "this Host is not an address of this server; use its IP address or localhost"
	}
	return ""
}

// owns looks at the host only: the port is another one behind a tunnel.
func (g guard) owns(r *http.Request) bool {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	} else {
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	if host == "" {
		return false
	}
	if strings.EqualFold(host, "localhost") || strings.EqualFold(host, g.configured) {
		return true
	}
	ip := net.ParseIP(host)
	if ip == nil {
		return false
	}
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ip.IsLoopback() || ip.Equal(addrIP(local))
}
