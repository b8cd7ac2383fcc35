package client

// hear deals with a message from the server.
func (c *Client) hear(conn *conn, a *answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch a.Type {
	case "ok", "error":
		c.hearAnswer(conn, a)
		return
	case "bye":
		conn.bye = a
		return
	}
	r := c.rooms[a.Room]
	if r == nil || !r.joined {
		return // it was left, or this is of a newer protocol
	}
	switch a.Type {
	case "message":
		r.take(item{prev: a.Prev, message: a.messageIn(r.name)})
	case "gap":
		r.take(item{prev: max(a.From, 1) - 1, gap: &Gap{
			Room: r.name, Epoch: a.Epoch, From: a.From, To: a.To, Oldest: a.Oldest, Reset: a.Reset,
		}})
	case "signal":
		c.emit(Signal{Room: r.name, User: a.User, Name: a.Name, Content: a.content()})
	case "presence":
		p := Presence{Room: r.name, Count: a.Count, Joined: a.Joined, Left: a.Left, Complete: a.Complete}
		if a.Members != nil {
			p.Members = append([]Member{}, *a.Members...)
		}
		c.emit(p)
	}
}

// hearAnswer gives an answer to who asked, and tells what is said to nobody.
func (c *Client) hearAnswer(conn *conn, a *answer) {
	if then, asked := c.calls[uint64(a.ID)]; asked {
		delete(c.calls, uint64(a.ID))
		if a.Type == "error" {
			then(nil, a.failure())
		} else {
			then(a, nil)
		}
		return
	}
	if a.Type != "error" {
		return // to a ping, or to who does not wait any more
	}
	if a.Code == CodeTokenExpiring && c.options.Token != nil {
		if !conn.renewing {
			conn.renewing = true
			c.helpers.Go(func() { c.renew(conn) })
		}
		return
	}
	c.emit(Notice{Err: a.failure()})
}

// renew shows the server another token on the connection that there is.
func (c *Client) renew(conn *conn) {
	token, err := c.askToken(c.ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != conn {
		return // whoever connects asks by itself
	}
	if err != nil {
		conn.renewing = false
		if c.ctx.Err() == nil {
			c.emit(Notice{Err: &Error{Code: CodeTokenExpiring, Message: err.Error(), Hint: "Options.Token failed"}})
		}
		return
	}
	c.request(&request{Type: "auth", Token: token}, func(a *answer, err error) {
		conn.renewing = false
		if e, refused := err.(*Error); refused {
			c.emit(Notice{Err: e})
		}
		if err == nil {
			c.welcome.Expires = moment(a.Expires)
			c.welcome.Name = a.Name
		}
	})
}
