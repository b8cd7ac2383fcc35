package engine

import (
	"testing"
	"time"
)

// TestBucketAfterPause has the loop's clock go back, as it does after a pause:
// nobody loses tokens by it.
func TestBucketAfterPause(t *testing.T) {
	var b bucket
	now := int64(time.Hour)
	b.take(now, 10, 50)
	now -= int64(time.Minute)
	for i := range 49 {
		if !b.take(now, 10, 50) {
			t.Fatalf("of 50 tokens only %d were there", i+1)
		}
	}
	if b.take(now, 10, 50) {
		t.Error("there was a 51st token")
	}
	if now += int64(time.Second); !b.take(now, 10, 50) {
		t.Error("a second later there was none")
	}
}
