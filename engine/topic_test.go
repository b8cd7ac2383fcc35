package engine

import (
	"fmt"
	"testing"
)

// TestTopicShardsCannotBeAimedAt takes names that fall into one shard of one
// registry: in another they are spread like any others.
func TestTopicShardsCannotBeAimedAt(t *testing.T) {
	const n = 64 * 16
	mine, theirs := newRegistry(), newRegistry()
	var hit [registryShards]int
	for i, found := 0, 0; found < n; i++ {
		if name := fmt.Sprint("room", i); mine.index(name) == 0 {
			found++
			hit[theirs.index(name)]++
		}
	}
	for shard, names := range hit {
		if names > n/8 {
			t.Errorf("%d of %d names fall into shard %d", names, n, shard)
		}
	}
}
