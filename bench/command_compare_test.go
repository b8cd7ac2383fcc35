package bench

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"throng/bench/report"
)

// TestCompareCommand: two files of runs, as scenarios with --json leave them, become a table or JSON.
func TestCompareCommand(t *testing.T) {
	folder := t.TempDir()
	file := func(name string, rates ...float64) string {
		var b bytes.Buffer
		for _, rate := range rates {
			if err := json.NewEncoder(&b).Encode(report.Result{Format: report.Format, Scenario: "broadcast", PerSecond: rate}); err != nil {
				t.Fatal(err)
			}
		}
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	c := &CompareCmd{A: file("a", 100, 101, 102, 103), B: file("b", 200, 201, 202, 203)}
	var text bytes.Buffer
	if err := c.write(&text); err != nil || !strings.Contains(text.String(), "0.029  better") {
		t.Errorf("%s (%v)", &text, err)
	}
	c.JSON = true
	text.Reset()
	var compared report.Comparison
	if err := c.write(&text); err != nil || json.Unmarshal(text.Bytes(), &compared) != nil || compared.Figures[0].Verdict != report.Better {
		t.Errorf("%s (%v)", &text, err)
	}
	c.B = file("empty")
	if err := c.write(&text); err == nil || !strings.Contains(err.Error(), "empty: no result in it") {
		t.Errorf("a file without a run: %v", err)
	}
	c.B = filepath.Join(folder, "missing")
	if err := c.write(&text); err == nil {
		t.Error("a file that is not there")
	}
}
