package engine_test

import (
	"fmt"

	"throng/engine"
	"throng/protocol"
)

// broadcast sends every message to everybody.
type broadcast struct{}

func (broadcast) OnOpen(c *engine.Conn) { c.SetValue(c.Join("lobby")) }

func (broadcast) OnMessage(c *engine.Conn, op protocol.Opcode, data []byte) {
	c.Publish(c.Value().(*engine.Topic), op, data)
}

func (broadcast) OnClose(*engine.Conn, engine.Reason) {}

// The classic chat example, done right: every message goes to everybody, and
// whoever has said nothing for ten seconds is closed.
func Example() {
	cfg := engine.DefaultConfig()
	cfg.Listen = []string{"127.0.0.1:0"}
	cfg.IdleTimeout, cfg.IdleMessagesOnly, cfg.PingInterval = 10e9, true, 0
	e, err := engine.New(cfg, broadcast{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()
	e.Start()
	fmt.Println("listening on", len(e.Addrs()), "address")
	// Output: listening on 1 address
}
