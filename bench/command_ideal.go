package bench

import (
	"fmt"
	"os"
)

// IdealCmd serves as the yardstick.
type IdealCmd struct {
	Listen string `help:"Address and port." default:"127.0.0.1:9001" placeholder:"IP:PORT"`
	Batch  bool   `help:"One write per connection and turn of the loop, instead of one per delivery."`
}

// Run serves until SIGINT or SIGTERM.
func (c *IdealCmd) Run() error {
	if err := needDescriptors(0); err != nil {
		return err
	}
	ctx, cancel := interrupted()
	defer cancel()
	s, err := Ideal(IdealConfig{Listen: c.Listen, Batch: c.Batch})
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "the yardstick listens on ws://%s/\n", s.Addr())
	<-ctx.Done()
	s.Close()
	return nil
}

// WorkerCmd is a worker of another process's run.
type WorkerCmd struct{}

// Run does what standard input says.
func (WorkerCmd) Run() error {
	serveWorker(os.Stdin, os.Stdout, nil)
	return nil
}
