package report

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Read reads the results of one or more runs: JSON documents one after the other, as several runs with --json leave
// them in a file, or an array of them.
func Read(from io.Reader) ([]*Result, error) {
	d := json.NewDecoder(bufio.NewReader(from))
	var all []*Result
	for {
		var document json.RawMessage
		err := d.Decode(&document)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("not JSON after byte %d: %w; want what a scenario prints with --json", d.InputOffset(), err)
		}
		parts := []json.RawMessage{document}
		if document[0] == '[' {
			if err := json.Unmarshal(document, &parts); err != nil {
				return nil, fmt.Errorf("an array of results: %w", err)
			}
		}
		for _, part := range parts {
			r, err := readOne(part)
			if err != nil {
				return nil, fmt.Errorf("result %d: %w", len(all)+1, err)
			}
			all = append(all, r)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("no result in it; want what a scenario prints with --json")
	}
	return all, nil
}

func readOne(document []byte) (*Result, error) {
	// The version is looked at first: the rest of another version may not even have these types.
	var version struct {
		Format *int `json:"format"`
	}
	if err := json.Unmarshal(document, &version); err != nil || version.Format == nil {
		return nil, errors.New("no result of a run: it has no format; want what a scenario prints with --json")
	}
	if *version.Format != Format {
		return nil, fmt.Errorf("its format is %d and this program reads %d: use the program that wrote it, or run again", *version.Format, Format)
	}
	r := new(Result)
	if err := json.Unmarshal(document, r); err != nil {
		return nil, fmt.Errorf("not a result of format %d: %w", Format, err)
	}
	if r.Flood != nil && r.Flood.Flood != nil {
		return nil, errors.New("a flooded room within a flooded room: no run gives that")
	}
	return r, nil
}
