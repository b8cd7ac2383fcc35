package broker

import "testing"

const childEnv = "THRONG_BROKER_CHILD"

func child() {}

func TestEmbedded(t *testing.T) {
	r := open(t, Config{Dir: t.TempDir()})
	a := r.mustPublish(0, "tea", "", "one")
	b := r.mustPublish(0, "tea", "", "two")
	if a.Seq != 1 || b.Seq != 2 {
		t.Fatal(a, b)
	}
	r.await("two messages", func() bool { return len(r.stored["0/tea"]) == 2 })
	if got := r.of(0, "tea"); string(got[1].Data) != "two" || got[1].Last != 1 || got[0].Last != 0 {
		t.Fatal(got)
	}
}
