package client

import "context"

// HistoryQuery says which messages of a recorded room are wanted. The zero value asks for the newest 50.
type HistoryQuery struct {
	Before    uint64 // the newest of those with a smaller Seq
	After     uint64 // the oldest of those with a larger Seq
	FromStart bool   // the oldest that there are
	Limit     int    // at most so many, up to 1,000; 0: 50
}

// Page is a part of a room's history, the oldest first.
type Page struct {
	Epoch    string
	Messages []Message
	More     bool // there are more in the direction that was asked for
}

// History asks for messages that were said before. The error may be an [*Error], ctx's, [ErrTooLong], [ErrClosed] or [ErrBehind]. If the connection is lost
// it asks again on the next.
func (c *Client) History(ctx context.Context, room string, query HistoryQuery) (Page, error) {
	r := request{Type: "history", Room: room, Limit: query.Limit}
	if query.Before > 0 {
		r.Before = &query.Before
	}
	if query.After > 0 || query.FromStart {
		r.After = &query.After
	}
	a, err := c.ask(ctx, r)
	if err != nil {
		return Page{}, err
	}
	p := Page{Epoch: a.Epoch, More: a.More}
	for i := range a.Messages {
		p.Messages = append(p.Messages, a.Messages[i].messageIn(room))
	}
	return p, nil
}

// Members is who is in a room.
type Members struct {
	Count    int      // how many are there
	Members  []Member // who they are, or some of them
	Complete bool     // all of them
}

// Members asks who is in a room. Its errors are those of History.
func (c *Client) Members(ctx context.Context, room string) (Members, error) {
	a, err := c.ask(ctx, request{Type: "members", Room: room})
	if err != nil {
		return Members{}, err
	}
	m := Members{Count: a.Count, Complete: a.Complete}
	if a.Members != nil {
		m.Members = *a.Members
	}
	return m, nil
}
