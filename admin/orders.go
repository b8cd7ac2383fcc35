package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// What changes something: each is checked here and done by the Operator, who logs it.

func withAskTime(r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithTimeout(r.Context(), askTime)
}

func (s *Server) kick(w http.ResponseWriter, r *http.Request, who Caller) {
	k, err := question[Kick](r)
	if err == nil {
		err = k.check()
	}
	var kicked Kicked
	if err == nil {
		ctx, cancel := withAskTime(r)
		defer cancel()
		kicked, err = s.operator.Kick(ctx, who, k)
	}
	s.reply(w, r, kicked, err)
}

func (s *Server) say(w http.ResponseWriter, r *http.Request, who Caller) {
	words, err := question[Say](r)
	if err == nil {
		err = words.check()
	}
	var said Said
	if err == nil {
		ctx, cancel := withAskTime(r)
		defer cancel()
		said, err = s.operator.Say(ctx, who, words)
	}
	s.reply(w, r, said, err)
}

func (s *Server) reload(w http.ResponseWriter, r *http.Request, who Caller) {
	_, err := question[struct{}](r)
	var reloaded Reloaded
	if err == nil {
		reloaded, err = s.operator.Reload(who)
	}
	s.reply(w, r, reloaded, err)
}

func (s *Server) drain(w http.ResponseWriter, r *http.Request, who Caller) {
	d, err := question[Drain](r)
	if err == nil {
		err = d.check()
	}
	var look Look
	if err == nil {
		look, err = s.operator.Drain(who, d)
	}
	if err != nil {
		s.reply(w, r, nil, err)
		return
	}
	s.follow(w, r, look)
}

func (s *Server) shed(w http.ResponseWriter, r *http.Request, who Caller) {
	order, err := question[Shed](r)
	if err == nil {
		err = order.check()
	}
	if err != nil {
		s.reply(w, r, nil, err)
		return
	}
	if order.Stop {
		if !s.operator.StopShed(who) {
			err = &Refusal{Status: http.StatusConflict, Text: "no shed is on"}
		}
		s.reply(w, r, struct{}{}, err)
		return
	}
	look, err := s.operator.Shed(who, order)
	if err != nil {
		s.reply(w, r, nil, err)
		return
	}
	s.follow(w, r, look)
}

const (
	// followEvery is how often progress is looked at, tellEvery how often it is told although nothing but numbers changed.
	followEvery = 50 * time.Millisecond
	tellEvery   = time.Second
)

// follow tells how far something is, a JSON object a line, until it is over. Whoever goes away before ends only the telling.
func (s *Server) follow(w http.ResponseWriter, r *http.Request, look Look) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	out, encoder := http.NewResponseController(w), json.NewEncoder(w)
	_ = out.SetReadDeadline(time.Time{}) // its end would look like the client's
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	state := ""
	for told := time.Now(); ; {
		last := r.Context().Err() != nil // the client's end, or the server's
		p := look()
		if p.State != state || p.Over() || time.Since(told) >= tellEvery {
			state, told = p.State, time.Now()
			_ = out.SetWriteDeadline(told.Add(writeTimeout))
			if err := encoder.Encode(p); err != nil {
				return
			}
			if err := out.Flush(); err != nil {
				return
			}
		}
		if last || p.Over() {
			return
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
		}
	}
}
