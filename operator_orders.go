package main

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"time"

	"throng/admin"
	"throng/chat"
	"throng/engine"
)

// What operators change. Each of it is logged, with who did it; what is said to people is not.

// Kick implements admin.Operator.
func (o *operator) Kick(ctx context.Context, who admin.Caller, k admin.Kick) (done admin.Kicked, err error) {
	id, err := connectionID(k.ID)
	if err != nil {
		return done, err
	}
	filter := engine.Filter{ID: id, User: k.User, Topic: k.Room, State: engine.StateOpen}
	if k.Address != "" {
		if filter.Address, err = admin.ParseNetwork(k.Address); err != nil {
			return done, err
		}
	}
	if k.DryRun {
		page, err := o.node.Connections(ctx, engine.Query{Filter: filter, Limit: 1})
		return admin.Kicked{Matched: page.Matched}, told(err)
	}
	n, err := o.node.Kick(ctx, filter, uint16(k.Code), k.Reason)
	o.log.Info("operator: kick", slog.String("by", string(who)), slog.Int("kicked", n), slog.String("id", k.ID), slog.String("user", k.User),
		slog.String("address", k.Address), slog.String("room", k.Room), slog.Int("code", k.Code))
	return admin.Kicked{Matched: n, Kicked: n}, told(err)
}

// Say implements admin.Operator. The message goes to the room in its order, like a member's; to everybody, or to one, it goes beside.
func (o *operator) Say(ctx context.Context, who admin.Caller, s admin.Say) (said admin.Said, err error) {
	id, err := connectionID(s.ID)
	if err != nil {
		return said, err
	}
	word := chat.OperatorsWord(cmp.Or(s.Room, chat.Lobby), s.Text)
	switch {
	case s.Room != "":
		said.Heard, err = o.node.Say(ctx, s.Room, &word)
	case id != 0:
		word = chat.OperatorsWord(o.roomOf(ctx, id), s.Text)
		said.Heard, err = o.node.Tell(ctx, engine.Filter{ID: id, State: engine.StateOpen}, &word)
	default:
		said.Heard, err = o.node.Tell(ctx, engine.Filter{State: engine.StateOpen}, &word)
	}
	o.log.Info("operator: say", slog.String("by", string(who)), slog.Int("heard", said.Heard), slog.String("room", s.Room), slog.Bool("all", s.All),
		slog.String("id", s.ID), slog.Int("bytes", len(s.Text)))
	if err == nil && id != 0 && said.Heard == 0 {
		return said, &admin.Refusal{Status: http.StatusNotFound, Text: "there is no open connection of that id; see throng connections"}
	}
	return said, told(err)
}

// roomOf is a room in which a client shows what is said to it alone: one that it is in, else the lobby.
func (o *operator) roomOf(ctx context.Context, id engine.ID) string {
	page, err := o.node.Connections(ctx, engine.Query{Filter: engine.Filter{ID: id}, Limit: 1})
	if err == nil && len(page.Rows) == 1 && len(page.Rows[0].Topics) > 0 {
		return page.Rows[0].Topics[0]
	}
	return chat.Lobby
}

// stopOrder is how the server is to stop, and how far it is.
type stopOrder struct {
	*progress
	by          string
	delay, over time.Duration
}

// stop asks serve to stop, as a signal or an operator wants it. Whoever comes second finds the first's order.
func (o *operator) stop(by string, delay, over *admin.Span) (order *stopOrder, first bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.leaving != nil {
		return o.leaving, false
	}
	order = &stopOrder{by: by, delay: o.cfg.DrainDelay, over: o.cfg.DrainTime}
	if delay != nil {
		order.delay = time.Duration(*delay)
	}
	if over != nil {
		order.over = time.Duration(*over)
	}
	state := admin.Waiting
	if order.delay == 0 {
		state = admin.Moving
	}
	order.progress = newProgress(state, o.node.Stats().Open, order.delay+order.over)
	o.leaving = order
	o.stops <- struct{}{}
	return order, true
}

// Drain implements admin.Operator.
func (o *operator) Drain(who admin.Caller, d admin.Drain) (admin.Look, error) {
	order, first := o.stop(string(who), d.Delay, d.Time)
	switch {
	case first:
		return order.look, nil
	case d.Delay != nil || d.Time != nil:
		return nil, &admin.Refusal{Status: http.StatusConflict,
			Text: "the server is about to stop already, and its pace cannot be changed; without delay and time it is shown how far it is"}
	}
	return order.joined, nil
}

// errShedStopped says that somebody stopped a shed.
var errShedStopped = &admin.Refusal{Status: http.StatusConflict, Text: "an operator stopped it"}

// Shed implements admin.Operator.
func (o *operator) Shed(who admin.Caller, s admin.Shed) (admin.Look, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.leaving != nil || o.shed.on() {
		return nil, told(engine.ErrLeaving)
	}
	open, n, over := o.node.Stats().Open, s.Count, time.Duration(admin.ShedOver)
	switch {
	case s.Share > 0:
		n = engine.ShedShare(open, s.Share)
	case s.To != nil:
		n = engine.ShedTo(open, *s.To)
	}
	if s.Over != nil {
		over = time.Duration(*s.Over)
	}
	n = min(n, open)
	ctx, cancel := context.WithCancelCause(context.Background())
	shed := newProgress(admin.Moving, n, over)
	o.shed, o.stopShed = shed, cancel
	o.log.Info("operator: shed", slog.String("by", string(who)), slog.Int("connections", n), slog.Int("of", open), slog.String("over", over.String()))
	go func() {
		began := time.Now()
		sent, err := o.node.Shed(ctx, n, over, func(done, of int) { shed.moved(of-done, of, over-time.Since(began)) })
		cancel(nil)
		left := 0
		if err != nil {
			left = max(0, n-sent)
		}
		shed.ended(left, err)
		o.log.Info("shed ended", slog.Int("sent_away", sent), slog.Int("of", n), slog.Any("error", err))
	}()
	return shed.look, nil
}

// StopShed implements admin.Operator.
func (o *operator) StopShed(who admin.Caller) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.shed.on() {
		return false
	}
	o.log.Info("operator: shed stopped", slog.String("by", string(who)))
	o.stopShed(errShedStopped)
	return true
}
