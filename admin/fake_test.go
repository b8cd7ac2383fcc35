package admin_test

import (
	"context"
	"sync"

	"throng/admin"
)

// desk is an Operator and a Talker that notes what reaches it.
type desk struct {
	mu     sync.Mutex
	orders []any
	by     []admin.Caller
	asked  []any
	err    error
	looks  []admin.Progress // what a drain or a shed shows, one after the other; the last again and again
}

func (d *desk) ask(q any) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, q)
	return d.err
}

func (d *desk) order(who admin.Caller, o any) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.orders, d.by = append(d.orders, o), append(d.by, who)
	return d.err
}

// last is the last order, and who gave it.
func (d *desk) last() (any, admin.Caller, int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.orders) == 0 {
		return nil, "", 0
	}
	return d.orders[len(d.orders)-1], d.by[len(d.by)-1], len(d.orders)
}

func (d *desk) look() admin.Progress {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.looks[0]
	if len(d.looks) > 1 {
		d.looks = d.looks[1:]
	}
	return p
}

func (d *desk) Status(context.Context) admin.Status { return admin.Status{Node: "here"} }

func (d *desk) Connections(_ context.Context, q admin.ConnectionsQuery) (admin.ConnectionsPage, error) {
	return admin.ConnectionsPage{}, d.ask(q)
}

func (d *desk) Rooms(_ context.Context, q admin.RoomsQuery) (admin.RoomsPage, error) {
	return admin.RoomsPage{}, d.ask(q)
}

func (d *desk) Closes(q admin.ClosesQuery) (admin.ClosesPage, error) {
	return admin.ClosesPage{}, d.ask(q)
}

func (d *desk) Kick(_ context.Context, who admin.Caller, k admin.Kick) (admin.Kicked, error) {
	return admin.Kicked{Matched: 3, Kicked: 3}, d.order(who, k)
}

func (d *desk) Say(_ context.Context, who admin.Caller, s admin.Say) (admin.Said, error) {
	return admin.Said{Heard: 2}, d.order(who, s)
}

func (d *desk) Drain(who admin.Caller, o admin.Drain) (admin.Look, error) {
	return d.look, d.order(who, o)
}

func (d *desk) Shed(who admin.Caller, o admin.Shed) (admin.Look, error) {
	return d.look, d.order(who, o)
}

func (d *desk) StopShed(who admin.Caller) bool { return d.order(who, "stop") == nil }

func (d *desk) Reload(who admin.Caller) (admin.Reloaded, error) {
	return admin.Reloaded{Changed: []admin.Change{{Name: "idle-timeout", From: "1m", To: "2m"}}}, d.order(who, "reload")
}

func (d *desk) Publish(_ context.Context, who admin.Caller, p admin.Publish) (admin.Published, error) {
	return admin.Published{Room: "tea", Seq: 7, Stored: true}, d.order(who, p)
}

func (d *desk) History(_ context.Context, q admin.HistoryQuery) (admin.HistoryPage, error) {
	return admin.HistoryPage{Room: q.Room, Messages: []admin.Message{}}, d.ask(q)
}

func (d *desk) Members(_ context.Context, q admin.MembersQuery) (admin.MembersPage, error) {
	return admin.MembersPage{Room: q.Room, Members: []admin.Member{}}, d.ask(q)
}
