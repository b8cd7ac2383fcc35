package admin

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// The API is JSON under /v1/: GET reads, POST changes. Within a version fields are added and none changes its meaning; questions
// with fields that the server does not know are refused, so that a misspelt condition is not taken for none.

const (
	apiPrefix    = "/v1/"
	bodyBytesMax = 64 << 10 // the longest is a system message; what applications publish has a bound of its own
	// askTime is how long the loops may take to answer a question, which is far more than they need unless one is blocked.
	askTime = 8 * time.Second
)

const _ = uint(writeTimeout - askTime - 1)

// errorBody is what is told when something is not done.
type errorBody struct {
	Error   string   `json:"error"`
	Details []string `json:"details,omitempty"`
}

// What is asked for is for whoever may read, or only for those who may change something as well, as identify takes it.
const (
	public  = false
	private = true
)

// asking answers a GET.
func (s *Server) asking(whose bool, ask func(*http.Request) (any, error)) http.Handler {
	return s.guard.wrap(only(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, refusal := s.identify(r, whose); refusal != nil {
			deny(w, r, refusal)
			return
		}
		got, err := ask(r)
		s.reply(w, r, got, err)
	})))
}

// changing answers a POST, from those who may.
func (s *Server) changing(bytesMax int64, change func(http.ResponseWriter, *http.Request, Caller)) http.Handler {
	return s.guard.wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			deny(w, r, &Refusal{Status: http.StatusMethodNotAllowed, Text: "this is done with POST"})
			return
		}
		who, refusal := s.identify(r, true)
		if refusal != nil {
			deny(w, r, refusal)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, bytesMax)
		change(w, r, who)
	}))
}

func (s *Server) reply(w http.ResponseWriter, r *http.Request, got any, err error) {
	if err == nil {
		answer(w, http.StatusOK, got)
		return
	}
	refusal, expected := refusalOf(err)
	if !expected {
		s.logger.Error("a request on the private port failed", slog.String("path", r.URL.Path), slog.Any("error", err))
	}
	deny(w, r, refusal)
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(body) // who has gone needs no answer
}

// question reads a body. None at all is an empty one.
func question[T any](r *http.Request) (body T, err error) {
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	err = decoder.Decode(&body)
	if errors.Is(err, io.EOF) {
		return body, nil
	}
	if err == nil {
		if _, err = decoder.Token(); err == nil || !errors.Is(err, io.EOF) {
			return body, Refuse("the body holds more than one JSON value")
		}
		return body, nil
	}
	if _, expected := refusalOf(err); expected {
		return body, err
	}
	return body, Refuse("the body is not understood: %s", strings.TrimPrefix(err.Error(), "json: "))
}

// noParameters refuses what would be ignored.
func noParameters(v url.Values) error { return (&query{values: v}).end() }

func (s *Server) api(mux *http.ServeMux) {
	op := s.operator
	if op == nil {
		return
	}
	mux.Handle(apiPrefix+"status", s.asking(public, func(r *http.Request) (any, error) {
		if err := noParameters(r.URL.Query()); err != nil {
			return nil, err
		}
		ctx, cancel := withAskTime(r)
		defer cancel()
		return op.Status(ctx), nil
	}))
	mux.Handle(apiPrefix+"connections", s.asking(public, func(r *http.Request) (any, error) {
		q, err := readConnectionsQuery(r.URL.Query())
		if err != nil {
			return nil, err
		}
		ctx, cancel := withAskTime(r)
		defer cancel()
		return op.Connections(ctx, q)
	}))
	mux.Handle(apiPrefix+"rooms", s.asking(public, func(r *http.Request) (any, error) {
		q, err := readRoomsQuery(r.URL.Query())
		if err != nil {
			return nil, err
		}
		ctx, cancel := withAskTime(r)
		defer cancel()
		return op.Rooms(ctx, q)
	}))
	mux.Handle(apiPrefix+"closes", s.asking(public, func(r *http.Request) (any, error) {
		q, err := readClosesQuery(r.URL.Query())
		if err != nil {
			return nil, err
		}
		return op.Closes(q)
	}))
	mux.Handle(apiPrefix+"kick", s.changing(bodyBytesMax, s.kick))
	mux.Handle(apiPrefix+"say", s.changing(bodyBytesMax, s.say))
	mux.Handle(apiPrefix+"drain", s.changing(bodyBytesMax, s.drain))
	mux.Handle(apiPrefix+"shed", s.changing(bodyBytesMax, s.shed))
	mux.Handle(apiPrefix+"reload", s.changing(bodyBytesMax, s.reload))
	s.talk(mux)
	mux.Handle(apiPrefix, s.asking(public, func(r *http.Request) (any, error) {
		return nil, &Refusal{Status: http.StatusNotFound,
			Text: "there is no such thing; there are status, connections, rooms, closes, kick, say, drain, shed, reload, publish, history and members under " + apiPrefix}
	}))
}
