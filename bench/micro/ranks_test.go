package micro

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"stepbench/engine"
)

// TestCollectives: what ranks spend in collectives is a share of the wall time of
// the steps under the profiler, the largest over ranks.
func TestCollectives(t *testing.T) {
	t.Parallel()
	profile := func(own, collective [2]int64) []engine.RankProfile {
		var out []engine.RankProfile
		for i := range own {
			out = append(out, engine.RankProfile{Rank: i, SumNs: own[i] + collective[i], CollectiveNs: collective[i]})
		}
		return out
	}
	b := &burstResult{steps: 4, unit: "op", walls: []float64{100, 100, 100, 100}}
	b.ranks = addRanks(b.ranks, profile([2]int64{80, 60}, [2]int64{20, 40}))
	b.ranks = addRanks(b.ranks, profile([2]int64{80, 60}, [2]int64{20, 40}))
	want := []RankTime{{Rank: 0, OwnNs: 40, CollectiveNs: 10}, {Rank: 1, OwnNs: 30, CollectiveNs: 20}}
	p := b.perStep()
	if diff := cmp.Diff(want, p.Ranks); diff != "" || p.CollectiveFrac != 0.2 {
		t.Errorf("share %g, -want +got\n%s", p.CollectiveFrac, diff)
	}
	m := &measured{bursts: []*burstResult{b, {drop: "no profile"}, b}}
	d := m.device(100)
	if diff := cmp.Diff(want, d.Ranks); diff != "" || d.CollectiveFrac != 0.2 {
		t.Errorf("share %g, -want +got\n%s", d.CollectiveFrac, diff)
	}
	if one := (&burstResult{steps: 1, walls: []float64{1}}).perStep(); one.Ranks != nil || one.CollectiveFrac != 0 {
		t.Errorf("one process: %+v", one)
	}
}
