package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"throng/admin"
	"throng/chat"
	"throng/protocol/envelope"
)

// What applications say and read on the private port. It is logged who said something and where; what was said is not.

// serverName is who says something for which an application names nobody.
const serverName = "server"

// historyBytesMax bounds a page of history; whoever asks reads on from its end.
const historyBytesMax = 8 << 20

// Publish implements admin.Talker.
func (o *operator) Publish(ctx context.Context, who admin.Caller, p admin.Publish) (admin.Published, error) {
	room, as, name := p.Room, p.As, p.Name
	if p.User != "" {
		room = "@" + p.User
	}
	if as == "" {
		as = serverName
	}
	if name == "" {
		name = as
	}
	said, err := o.rooms.Post(ctx, room, as, name, p.Key, contentOf(&p.Content))
	o.log.Info("application: publish", slog.String("by", string(who)), slog.String("room", room), slog.String("as", as), slog.Uint64("seq", said.Seq), slog.Any("error", err))
	return admin.Published{Room: room, Seq: said.Seq, Stored: said.Stored, Duplicate: said.Duplicate}, toldOfRooms(err)
}

// contentOf is what an application says, in the rooms' words.
func contentOf(c *admin.Content) envelope.Body {
	switch {
	case c.Text != nil:
		return envelope.Body{Kind: envelope.Text, Bytes: []byte(*c.Text)}
	case c.JSON != nil:
		return envelope.Body{Kind: envelope.JSON, Bytes: c.JSON}
	}
	return envelope.Body{Kind: envelope.Binary, Bytes: c.Data}
}

// History implements admin.Talker.
func (o *operator) History(ctx context.Context, q admin.HistoryQuery) (admin.HistoryPage, error) {
	page, err := o.rooms.History(ctx, q.Room, q.After, q.Before, q.Limit, historyBytesMax)
	if err != nil {
		return admin.HistoryPage{}, toldOfRooms(err)
	}
	found := admin.HistoryPage{Room: q.Room, Epoch: page.Epoch, Messages: []admin.Message{}, More: page.More}
	for _, text := range page.Messages {
		var m admin.Message
		if err := json.Unmarshal(text, &m); err != nil {
			return admin.HistoryPage{}, err
		}
		found.Messages = append(found.Messages, m)
	}
	return found, nil
}

// Members implements admin.Talker.
func (o *operator) Members(ctx context.Context, q admin.MembersQuery) (admin.MembersPage, error) {
	people, count, complete, err := o.rooms.Who(ctx, q.Room)
	if err != nil {
		return admin.MembersPage{}, toldOfRooms(err)
	}
	found := admin.MembersPage{Room: q.Room, Count: count, Members: []admin.Member{}, Complete: complete}
	for _, p := range people {
		found.Members = append(found.Members, admin.Member{User: p.User, Name: p.Name})
	}
	return found, nil
}

// toldOfRooms turns an error of the rooms' into one for those who asked.
func toldOfRooms(err error) error {
	refuse := func(status int, text string) error { return &admin.Refusal{Status: status, Text: text} }
	switch {
	case err == nil, errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, chat.ErrName):
		return refuse(http.StatusBadRequest, err.Error())
	case errors.Is(err, chat.ErrNotRecorded):
		return refuse(http.StatusNotFound, "this room is not recorded: it has no history")
	case errors.Is(err, chat.ErrTooBig):
		return refuse(http.StatusRequestEntityTooLarge, "the message is more than the store takes; send less")
	case errors.Is(err, chat.ErrStoreFull):
		return refuse(http.StatusInsufficientStorage, "the store is full: raise --keep-bytes of the room's policy, or keep less")
	case errors.Is(err, chat.ErrUnavailable):
		return refuse(http.StatusServiceUnavailable, "the store cannot be reached; with the same key it is safe to try again")
	}
	return refuse(http.StatusServiceUnavailable, err.Error())
}

// tokenLeeway is by how much the clocks of whoever signs tokens may be off.
const tokenLeeway = 10 * time.Second
