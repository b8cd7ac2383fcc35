package engine

import "throng/protocol"

// Handler is told what happens. Its methods run on the loop of the connection,
// which serves many others: they must not block. A panic in one costs the
// connection it was called for, nobody else.
type Handler interface {
	// OnOpen is called when an upgrade is accepted. The 101 goes out behind it, or
	// before the first thing that it sends.
	OnOpen(c *Conn)
	// OnMessage is called with each complete message. data is valid until the
	// return.
	OnMessage(c *Conn, op protocol.Opcode, data []byte)
	// OnClose is called once for each connection that was open, after its end.
	OnClose(c *Conn, why Reason)
}

// Upgrader is a Handler that wants a say in upgrades. It runs after the request
// was found valid and its Origin allowed. What it returns as err refuses the
// upgrade, with status 403 unless it is a *protocol.HandshakeError. A
// subprotocol that it returns must be among the offered ones.
type Upgrader interface {
	OnUpgrade(c *Conn, r *protocol.Request) (subprotocol string, err error)
}

// Farewell is a Handler that has a last message for connections that the server is
// about to close, in front of the Close frame: for clients to whom code and reason say
// too little. It is called on the loop for each polite end but the peer's own and a
// panic's; an op of 0 is no message. Whatever it does with the connection is too late.
type Farewell interface {
	OnFarewell(c *Conn, code uint16, text string) (op protocol.Opcode, data []byte)
}

// Describer is a Handler that knows who a connection's user is, for lists of
// connections and for the record of their ends. It runs on the loop, once for each
// row or connection looked at, until OnClose has been called. A panic in it costs
// the name alone.
type Describer interface {
	Describe(c *Conn) (user string)
}

// Requester is a Handler that answers plain HTTP requests on the public port.
// Without it they get 426. The request is valid until the return.
type Requester interface {
	OnRequest(r *protocol.Request) protocol.Response
}
