package bench

import (
	"fmt"
	"io"
	"os"

	"throng/bench/report"
)

// CompareCmd holds the runs in one file against those in another.
type CompareCmd struct {
	A    string `arg:"" name:"A.json" help:"What runs of one side printed with --json, one after the other."`
	B    string `arg:"" name:"B.json" help:"The same of the other side. With 4 runs or more on each, the p-values are about the sides and not only these runs."`
	JSON bool   `help:"Print the comparison as JSON."`
}

// Run prints what differs, and whether that can be chance.
func (c *CompareCmd) Run() error { return c.write(os.Stdout) }

func (c *CompareCmd) write(w io.Writer) error {
	a, err := readResults(c.A)
	if err != nil {
		return err
	}
	b, err := readResults(c.B)
	if err != nil {
		return err
	}
	compared, err := report.Compare(a, b)
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(w, compared)
	}
	return compared.WriteText(w)
}

func readResults(name string) ([]*report.Result, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	results, err := report.Read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return results, nil
}
