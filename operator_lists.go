package main

import (
	"context"
	"strings"
	"time"

	"throng/admin"
	"throng/engine"
)

// What operators look at: connections, rooms and ends.

// connectionID reads the name of a connection, "" for none.
func connectionID(text string) (id engine.ID, err error) {
	if text == "" {
		return 0, nil
	}
	if id, err = engine.ParseID(text); err != nil {
		return 0, admin.Refuse("%s", withoutPackage(err))
	}
	return id, nil
}

// Connections implements admin.Operator.
func (o *operator) Connections(ctx context.Context, q admin.ConnectionsQuery) (admin.ConnectionsPage, error) {
	id, err := connectionID(q.ID)
	if err != nil {
		return admin.ConnectionsPage{}, err
	}
	page, err := o.node.Connections(ctx, engine.Query{
		Filter: engine.Filter{ID: id, User: q.User, Topic: q.Room, Address: q.Address, State: engine.State(q.State),
			MinIdle: time.Duration(q.IdleAbove), MinLag: q.LagAbove},
		Sort: engine.Sort(q.Sort), Limit: q.Limit, Cursor: q.Page, Sample: q.Sample,
	})
	if err != nil && q.Page != "" && ctx.Err() == nil {
		return admin.ConnectionsPage{}, admin.Refuse("page: %s", withoutPackage(err))
	}
	if err != nil {
		return admin.ConnectionsPage{}, told(err)
	}
	found := admin.ConnectionsPage{Connections: make([]admin.Connection, 0, len(page.Rows)), Matched: page.Matched, Total: page.Total, Next: page.Next}
	for _, r := range page.Rows {
		found.Connections = append(found.Connections, admin.Connection{
			ID: r.ID.String(), Address: r.Remote.String(), User: r.User, Rooms: append([]string{}, r.Topics...), RoomsOf: r.TopicsOf,
			State: string(r.State), Paused: r.Paused, Encoding: r.Encoding, Age: admin.Seconds(time.Since(r.Since)), Idle: admin.Seconds(r.Idle),
			Lag: admin.Seconds(r.LagAge), LagBytes: r.LagBytes, BytesIn: r.BytesIn, BytesOut: r.BytesOut,
		})
	}
	return found, nil
}

// roomSorts are the engine's words for the API's.
var roomSorts = map[string]engine.Sort{"": engine.SortSubscribers, "members": engine.SortSubscribers, "rate": engine.SortRate, "lag": engine.SortLag}

// Rooms implements admin.Operator.
func (o *operator) Rooms(ctx context.Context, q admin.RoomsQuery) (admin.RoomsPage, error) {
	ask := engine.TopicsQuery{Name: q.Match, Sort: roomSorts[q.Sort], Limit: q.Limit}
	if prefix, many := strings.CutSuffix(q.Match, "*"); many {
		ask.Name, ask.Prefix = "", prefix
	}
	rows, err := o.node.Topics(ctx, ask)
	if err != nil {
		return admin.RoomsPage{}, told(err)
	}
	found := admin.RoomsPage{Rooms: make([]admin.Room, 0, len(rows)), Total: o.node.Stats().Topics}
	for _, r := range rows {
		found.Rooms = append(found.Rooms, admin.Room{
			Name: r.Name, Members: r.Subscribers, Loops: r.Loops, Rate: r.Rate, Messages: r.Messages,
			Lagging: r.Lagging, LagBytes: r.LagBytes, LogBytes: r.LogBytes, Paused: r.Congested,
		})
	}
	return found, nil
}

// Closes implements admin.Operator.
func (o *operator) Closes(q admin.ClosesQuery) (admin.ClosesPage, error) {
	id, err := connectionID(q.ID)
	if err != nil {
		return admin.ClosesPage{}, err
	}
	ask := engine.EndsQuery{ID: id, User: q.User, Topic: q.Room, Address: q.Address, Handshakes: q.Handshakes, Limit: q.Limit}
	if q.Reason != "" {
		if err := ask.Reason.UnmarshalText([]byte(q.Reason)); err != nil {
			return admin.ClosesPage{}, admin.Refuse("there is no reason called %.40q%s", q.Reason, didYouMean(q.Reason, reasonNames()))
		}
	}
	if q.Since > 0 {
		ask.Since = time.Now().Add(-time.Duration(q.Since))
	}
	ends, err := o.node.Ends(ask)
	if err != nil {
		return admin.ClosesPage{}, told(err)
	}
	found := admin.ClosesPage{Closes: make([]admin.Close, 0, len(ends))}
	for _, e := range ends {
		found.Closes = append(found.Closes, admin.Close{
			At: e.Time, ID: e.ID.String(), Reason: e.Reason.String(), Code: int(e.Code), Meaning: meanings[e.Reason],
			Address: e.Remote.String(), User: e.User, Room: e.Topic, RoomsOf: e.Topics, Lived: admin.Seconds(e.Lived), Idle: admin.Seconds(e.Idle),
			LagBytes: e.LagBytes, BytesIn: e.BytesIn, BytesOut: e.BytesOut,
		})
	}
	return found, nil
}
