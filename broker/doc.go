// Package broker stores the messages of recorded rooms and carries what nodes tell each other. It hides NATS: an embedded server without a port by
// default, servers elsewhere for many nodes. The code is the same for both, but for who starts the server and how what was
// stored comes back: servers elsewhere republish it to all nodes, and what the embedded one has stored, for this process alone, is handed on when it is
// acknowledged.
//
//	Publish ──▶ queue ──▶ writer ──▶ throng.store.<stream>.<room> ──▶ JetStream: ordered, numbered, stored
//	                                                                     │               │
//	done    ◀── acknowledgement ◀────────────────────────────────────────┘               │ republished, with its number and
//	                                                                                     │ that of the room's message before
//	Stored  ◀── reader ◀── throng.room.<stream>.<room> ◀─────────────────────────────────┘
//
//	Read, ReadBefore, Last, Oldest ──▶ a connection of their own, so that a long read holds up no publish
//
//	Cast ──▶ throng.cast, throng.cast.<room>        nodes that watch the room
//	Ask  ──▶ throng.ask ──▶ replies                 every node answers, if only with nothing
//	         throng.node                            heartbeats and goodbyes
//
// An acknowledgement and the copy that Stored gets come in either order; with the embedded server the copy comes first. Numbers are the stream's: they rise strictly within a room, and not by one.
package broker
