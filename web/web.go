// Package web holds the chat page and the JavaScript client, embedded, and the headers they go out
// with. It serves nothing by itself: whoever owns the public port looks a path up and writes it.
//
//	page.html    the page, for / and /rooms/NAME
//	page.js      what the page does: where one is, what one writes, how the connection is
//	talks.js     conversations, what was said in them and what was read; touches no page
//	log.js       the lines of the conversation that is shown
//	lists.js     rooms, direct messages, and who is here
//	face.js      what stands for a person
//	throng.js    the client: connection, rooms, what was not answered; usable without the page
//	throng.d.ts  its types
//	throng.css   how it looks, in light and dark
//	throng.svg   the mark
package web

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"path"
	"strings"
)

//go:embed page.html page.js talks.js log.js lists.js face.js throng.js throng.d.ts throng.css throng.svg
var files embed.FS

// csp lets the page have its own files and its own server's WebSocket, and nothing else: no inline
// script or style, no other host, no frame around it, no form that leaves, no markup made from text.
const csp = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
	"require-trusted-types-for 'script'; trusted-types 'none'"

// Asset is one answer to a GET: 200 with Body, under ContentType and all of Headers.
type Asset struct {
	ContentType string
	Body        []byte
	// Headers are those beside Content-Type and Content-Length, ETag and Cache-Control among them.
	// They belong on a 304 too.
	Headers [][2]string

	etag string
}

var page, assets = load()

// Lookup finds what is served under a path, which is the request's without its query. It takes any
// single segment for a room's name: which names are good is not this package's to say.
func Lookup(path string) (Asset, bool) {
	if path == "/" {
		return page, true
	}
	if name, ok := strings.CutPrefix(path, "/rooms/"); ok {
		return page, name != "" && !strings.Contains(name, "/")
	}
	a, ok := assets[path]
	return a, ok
}

// NotModified says whether a request with this If-None-Match has the asset already, so that the
// answer is 304 with Headers and without Body.
func (a Asset) NotModified(ifNoneMatch string) bool {
	for tag := range strings.SplitSeq(ifNoneMatch, ",") {
		tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/") // RFC 9110 13.1.2: the weak comparison
		if tag == "*" || tag == a.etag {
			return true
		}
	}
	return false
}

func load() (page Asset, assets map[string]Asset) {
	types := map[string]string{
		".html": "text/html; charset=utf-8",
		".js":   "text/javascript; charset=utf-8",
		".css":  "text/css; charset=utf-8",
		".ts":   "text/plain; charset=utf-8", // for people and editors; no browser runs it
		".svg":  "image/svg+xml",
	}
	entries, err := files.ReadDir(".")
	if err != nil {
		panic(err) // the files are part of the binary
	}
	assets = make(map[string]Asset, len(entries))
	for _, entry := range entries {
		name := entry.Name()
		body, err := files.ReadFile(name)
		if err != nil {
			panic(err)
		}
		a := newAsset(types[path.Ext(name)], body)
		if name == "page.html" {
			page = a // known by its two paths only
			continue
		}
		assets["/"+name] = a
	}
	return page, assets
}

func newAsset(contentType string, body []byte) Asset {
	sum := sha256.Sum256(body)
	etag := `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	return Asset{
		ContentType: contentType,
		Body:        body,
		etag:        etag,
		Headers: [][2]string{
			{"Content-Security-Policy", csp},
			{"X-Content-Type-Options", "nosniff"},
			{"X-Frame-Options", "DENY"}, // for browsers that do not know frame-ancestors
			{"Referrer-Policy", "no-referrer"},
			{"Cross-Origin-Resource-Policy", "same-origin"},
			// Asked for anew each time and mostly answered with 304: page and script never disagree
			// about their version after an upgrade of the server.
			{"Cache-Control", "no-cache"},
			{"ETag", etag},
		},
	}
}
