package console

import (
	"errors"
	"fmt"
	"time"

	"throng/admin"
)

// ShedCmd moves connections to other nodes.
type ShedCmd struct {
	Target
	Share  Share         `placeholder:"SHARE" help:"This part of those connected, such as 20%."`
	To     *int          `placeholder:"N" help:"As many as there are above N."`
	Count  int           `placeholder:"N" help:"So many."`
	Over   time.Duration `default:"60s" help:"Spread it over this long."`
	Stop   bool          `help:"End the shed that is on."`
	NoWait bool          `help:"Begin it and do not wait until it is done."`
}

// Validate says what is wrong with the flags.
func (c *ShedCmd) Validate() error {
	given := 0
	for _, is := range []bool{c.Share != 0, c.To != nil, c.Count != 0, c.Stop} {
		if is {
			given++
		}
	}
	switch {
	case given != 1:
		return errors.New("say how many: one of --share, --to, --count and --stop")
	case c.Count < 0 || c.To != nil && *c.To < 0 || c.Over < 0:
		return errors.New("there is no less than 0")
	}
	return nil
}

// Run does it.
func (c *ShedCmd) Run(s *Screen) error {
	node, err := c.connect()
	if err != nil {
		return err
	}
	ctx, cancel := interrupted()
	defer cancel()
	if c.Stop {
		if _, err := post[struct{}](ctx, node, "shed", admin.Shed{Stop: true}); err != nil {
			return err
		}
		if c.JSON {
			return s.json(struct{}{})
		}
		s.print("the shed was stopped")
		return nil
	}
	last, err := follow(ctx, s, node, c.JSON, c.NoWait, "shed",
		admin.Shed{Share: float64(c.Share), To: c.To, Count: c.Count, Over: toSpan(&c.Over)})
	switch {
	case err != nil && ctx.Err() != nil:
		return errors.New("not waiting any more; the shed goes on, and throng shed --stop ends it")
	case err == nil && last.State == admin.Stopped:
		return fmt.Errorf("the shed was stopped: %s", escaped(last.Error))
	}
	return err
}
