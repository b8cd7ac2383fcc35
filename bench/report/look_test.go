package report

import (
	"os"
	"path/filepath"
	"testing"
)

// TestLook writes pages of made-up runs into the folder that THRONG_LOOK names, to be looked at in a browser.
func TestLook(t *testing.T) {
	folder := os.Getenv("THRONG_LOOK")
	if folder == "" {
		t.Skip("THRONG_LOOK names no folder to write pages into")
	}
	for name, runs := range samplePages() {
		f, err := os.Create(filepath.Join(folder, name+".html"))
		if err != nil {
			t.Fatal(err)
		}
		if err := WriteHTML(f, runs...); err != nil {
			t.Error(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}
