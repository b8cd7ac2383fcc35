package console

import (
	"encoding/base64"
	"encoding/json"
	"errors"

	"throng/admin"
)

// PublishCmd says something in a room or to a user, as a member would.
type PublishCmd struct {
	Target
	Room string `placeholder:"NAME" help:"In this room."`
	User string `placeholder:"USER" help:"To this user: into the inbox, which keeps it while they are away."`
	Kind string `enum:"text,json,data" default:"text" help:"What CONTENT is: text, json, or data as base64."`
	Key  string `placeholder:"KEY" help:"Name of the message, up to 64 bytes. Published again with the same one, it is there once."`
	As   string `placeholder:"USER" help:"The user in whose name; without one, the server's."`
	Name string `placeholder:"NAME" help:"How others are shown who said it."`
	// Content may begin with a hyphen behind --.
	Content string `arg:"" help:"What to say."`
}

// content is what is to be said, as it goes to the node.
func (c *PublishCmd) content() (said admin.Content, err error) {
	switch c.Kind {
	case "json":
		if !json.Valid([]byte(c.Content)) {
			return said, errors.New("the content is not JSON; allowed with --kind json: one value, such as '{\"likes\":3}'")
		}
		said.JSON = json.RawMessage(c.Content)
	case "data":
		if said.Data, err = base64.StdEncoding.DecodeString(c.Content); err != nil {
			return said, errors.New("the content is not base64, which --kind data wants")
		}
	default:
		said.Text = &c.Content
	}
	return said, nil
}

// Validate says what is wrong with the flags.
func (c *PublishCmd) Validate() error {
	if (c.Room == "") == (c.User == "") {
		return errors.New("say where: one of --room and --user")
	}
	_, err := c.content()
	return err
}

// Run does it.
func (c *PublishCmd) Run(s *Screen) error {
	said, err := c.content()
	if err != nil {
		return err
	}
	node, err := c.connect()
	if err != nil {
		return err
	}
	ctx, cancel := withAskTime()
	defer cancel()
	done, err := post[admin.Published](ctx, node, "publish", admin.Publish{Room: c.Room, User: c.User, Content: said, Key: c.Key, As: c.As, Name: c.Name})
	if err != nil {
		return err
	}
	room := escaped(done.Room)
	switch {
	case c.JSON:
		return s.json(done)
	case done.Duplicate:
		s.print("is in %s already, as %d", room, done.Seq)
	case done.Stored:
		s.print("stored in %s as %d", room, done.Seq)
	default:
		s.print("said in %s, where nothing is stored", room)
	}
	return nil
}
