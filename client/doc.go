// Package client speaks throng.v1, for bots and tests. A [Client] is one user on one connection at a time: it comes back when the
// connection is lost, joins its rooms again where it had stopped, sends again what was not acknowledged, and hands out what the rooms
// say in order, once each.
//
//	c, err := client.Dial(ctx, client.Options{URL: "wss://chat.example/", Name: "echo"})
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//	tea, err := c.Join(ctx, "tea", client.JoinOptions{})
//	if err != nil {
//		return err
//	}
//	for event := range c.Events(ctx) {
//		if m, isMessage := event.(client.Message); isMessage && m.User != c.User() {
//			if _, err := tea.Publish(ctx, client.Text("you said: "+m.Content.String())); err != nil {
//				return err
//			}
//		}
//	}
//
// # What it promises
//
// In a recorded room messages come in the room's order, without repeats, and what is missing is fetched from the room's history before
// what follows it is handed out. What cannot be had any more is told by a [Gap]. In a room that is not recorded nothing is numbered: what was said while
// the connection was down is not seen, and a message that was sent again may be seen twice, with the same key.
//
// A publish has a key, and is sent until the server acknowledges it, refuses it, or its context ends. The server stores one key once,
// so a resend does not duplicate. The order in which messages were given to a room is kept over reconnects; only if the server answers
// one with "unavailable" or "rate" and takes one that was under way behind it, that one stands before it.
//
// # Who takes the events
//
// Events stand in a bounded queue ([Options.Events]) until [Client.Events] takes them. When it is full nothing is read from the socket
// any more, so the server sees a slow reader, and may cut the connection; recorded rooms are then resumed where they were. As answers to
// requests come on the same socket, reading goes on to eight times the bound while a request waits for one. Beyond that requests wait
// as well, and if no event is taken for ten seconds, as when the only goroutine that takes events is the one that waits, they end with
// [ErrBehind]. Whoever joins rooms must take events. A client that only publishes need not: its changes of state take no room.
//
// All methods may be called by any goroutine. Every call that waits ends with its context.
package client
