// Package engine holds WebSocket connections on event loops and fans messages
// out to them. It knows connections, topics and limits; it knows no rooms and
// no users.
//
//	listeners        gate                        loops (one goroutine each)
//	─────────  ┌──────────────────────┐    ┌────────────────────────────────┐
//	arrive ──▶ │ ceiling, refusals,   │◀──▶│ doors  connections   mailbox   │
//	           │ which loop           │    │ wheel  lanes: log + cursors    │
//	           └──────────────────────┘    └───────▲────────────────────┬───┘
//	                                               │ mailbox + bell     │ one write for
//	             Publish (any goroutine) ──────────┘                    ▼ all it has not had
//
// A message takes six steps from the bytes of its sender to the sockets of all:
//
//	loop.serve       what was read goes to whom it is for     (poll.go)
//	Conn.feed        the decoder yields whole messages        (read.go)
//	Handler          says which topic it belongs to           (the user)
//	Topic.publish    one place in the order, to every loop    (topic.go)
//	lane.append      framed once into the loop's log          (lane.go)
//	lane.slice       one write per subscriber of all new      (pass.go)
//
// # Ownership
//
// A loop owns its connections, its wheel, its lanes and its counters; no lock
// guards them, because nothing else touches them. Fields and methods marked
// loop-owned may be used only on the loop's goroutine: inside a Handler's
// callback, or inside a function handed to [Conn.Post]. Every other goroutine
// has one door, the mailbox, and one way to knock, the bell.
//
// # Lock order
//
// There are three locks on the path of a message. A registry shard is held alone.
// A mailbox's may be taken under a topic's, never the other way round:
//
//	Topic.mu  →  mailbox.mu
//
// A topic's is held for a copy of the frame, and at most one write to a bell, per
// loop.
package engine
