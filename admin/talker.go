package admin

import (
	"context"
	"net/http"
)

// Talker is the server as applications see it: rooms that remember, and who is in them. Its methods are called from any goroutine and
// never on a loop's. An error that is a *Refusal is told as it is, any other is a fault of the server's; names of rooms and users are
// the Talker's to judge.
type Talker interface {
	// Publish says something in a room or to a user, and returns when it is as safe as the answer says. It logs who asked for it, and
	// not what was said.
	Publish(context.Context, Caller, Publish) (Published, error)
	// History is what was said in a room, in its order. Where so many messages would be a very long answer there are fewer, and More.
	History(context.Context, HistoryQuery) (HistoryPage, error)
	// Members is who is in a room, on all nodes.
	Members(context.Context, MembersQuery) (MembersPage, error)
}

// publishBytesMax holds a message of the usual --max-message even where each of its bytes is escaped.
const publishBytesMax = 1 << 20

// noTalker is why there is no answer where there is no Talker.
var noTalker = &Refusal{Status: http.StatusNotImplemented, Text: "this server does not offer publish, history and members"}

// talk is the part of the API for applications. What was said is not for everybody who gets to the port: it is read with the right to change.
func (s *Server) talk(mux *http.ServeMux) {
	mux.Handle(apiPrefix+"publish", s.changing(publishBytesMax, s.publish))
	mux.Handle(apiPrefix+"history", s.asking(private, func(r *http.Request) (any, error) {
		q, err := readHistoryQuery(r.URL.Query())
		if err != nil {
			return nil, err
		}
		if s.talker == nil {
			return nil, noTalker
		}
		ctx, cancel := withAskTime(r)
		defer cancel()
		return s.talker.History(ctx, q)
	}))
	mux.Handle(apiPrefix+"members", s.asking(public, func(r *http.Request) (any, error) {
		q, err := readMembersQuery(r.URL.Query())
		if err != nil {
			return nil, err
		}
		if s.talker == nil {
			return nil, noTalker
		}
		ctx, cancel := withAskTime(r)
		defer cancel()
		return s.talker.Members(ctx, q)
	}))
}

func (s *Server) publish(w http.ResponseWriter, r *http.Request, who Caller) {
	p, err := question[Publish](r)
	if err == nil {
		err = p.check()
	}
	if err == nil && s.talker == nil {
		err = noTalker
	}
	var published Published
	if err == nil {
		ctx, cancel := withAskTime(r)
		defer cancel()
		published, err = s.talker.Publish(ctx, who, p)
	}
	s.reply(w, r, published, err)
}
