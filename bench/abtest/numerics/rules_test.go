package numerics

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLimits(t *testing.T) {
	for _, c := range []struct {
		name   string
		floors Floors
		want   Limits
	}{
		{"not measured", Floors{}, Limits{0.995, 0.01, 0.5, 1e-3}},
		{"small floors", Floors{Pairs: 3, MeanAbs: 0.003, MaxAbs: 0.1, KL: 1e-4}, Limits{0.995, 0.01, 0.5, 1e-3}},
		{"large floors", Floors{Pairs: 3, MeanAbs: 0.25, MaxAbs: 2, KL: 0.5}, Limits{0.995, 0.75, 6, 1.5}},
	} {
		if diff := cmp.Diff(c.want, c.floors.Limits()); diff != "" {
			t.Errorf("%s (-want +got)\n%s", c.name, diff)
		}
	}
}

// The floor is the largest of all pairs and both paths.
func TestFloor(t *testing.T) {
	base := answers(2, 10, nil)
	decode := answers(2, 10, onlyGenerated(func(s []Sequence) { shift(&s[0], 5, -0.25) }))
	prefill := answers(2, 10, onlyScored(func(s []Sequence) { shift(&s[1], 1, -0.5) }))

	f, err := Floor(base, base, answers(2, 10, nil))
	if err != nil || f != (Floors{Pairs: 3, BitEqual: true}) {
		t.Errorf("equal repeats: %v, %+v", err, f)
	}
	f, err = Floor(base, decode, prefill)
	if err != nil || f.Pairs != 3 || f.BitEqual || f.KL <= 0 {
		t.Errorf("unequal repeats: %v, %+v", err, f)
	}
	if math.Abs(f.MaxAbs-0.5) > 1e-12 || math.Abs(f.MeanAbs-5*0.25/20) > 1e-12 {
		t.Errorf("max %g, mean %g; want 0.5 of the prefill path and 0.0625 of the decode path", f.MaxAbs, f.MeanAbs)
	}
}

func TestFloor_Errors(t *testing.T) {
	for _, c := range []struct {
		name    string
		repeats []Answers
		want    string
	}{
		{"one repeat", []Answers{answers(2, 10, nil)}, "numerics: a floor needs at least 2 repeats, got 1"},
		{"other prompts", []Answers{answers(2, 10, nil), answers(3, 10, nil)}, "numerics: repeats 0 and 1: the arms generated other numbers of tokens"},
	} {
		if _, err := Floor(c.repeats...); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
}
