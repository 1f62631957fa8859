package numerics

import "fmt"

// Rules say how a comparison is judged.
type Rules struct {
	Floors Floors `json:"floors"`
	// RandomWeights are those of a synthetic model. Its logits are nearly flat,
	// so that rounding alone changes tokens: only equality says something.
	RandomWeights bool `json:"random_weights"`
}

// Floors are what A's repeats differed by among themselves. The zero value says
// that they were not measured.
type Floors struct {
	Pairs    int     `json:"pairs"` // of repeats compared
	BitEqual bool    `json:"bit_equal"`
	MeanAbs  float64 `json:"logprob_mean_abs_diff"` // nats, the largest of all pairs and paths
	MaxAbs   float64 `json:"logprob_max_abs_diff"`
	KL       float64 `json:"kl_mean"`
}

// Limits bound a difference that still counts as close.
type Limits struct {
	Top1Frac float64 `json:"top1_frac"` // at least
	MeanAbs  float64 `json:"logprob_mean_abs_diff"`
	MaxAbs   float64 `json:"logprob_max_abs_diff"`
	KL       float64 `json:"kl_mean"`
}

// baseLimits are meant for bfloat16.
var baseLimits = Limits{Top1Frac: 0.995, MeanAbs: 0.01, MaxAbs: 0.5, KL: 1e-3}

// floorFactor is how far beyond A's own floor B may be.
const floorFactor = 3

// Limits are those for bfloat16, or three times the floor where that is more.
func (f Floors) Limits() Limits {
	l := baseLimits
	l.MeanAbs = max(l.MeanAbs, floorFactor*f.MeanAbs)
	l.MaxAbs = max(l.MaxAbs, floorFactor*f.MaxAbs)
	l.KL = max(l.KL, floorFactor*f.KL)
	return l
}

// Floor compares each answer of A with each other. All must have scored the same
// continuations; best they come from two processes.
func Floor(repeats ...Answers) (Floors, error) {
	if len(repeats) < 2 {
		return Floors{}, fmt.Errorf("numerics: a floor needs at least 2 repeats, got %d", len(repeats))
	}
	f := Floors{BitEqual: true}
	for i, a := range repeats {
		for j, b := range repeats[:i] {
			r := Compare(b, a, Rules{})
			if r.Status == NotChecked {
				return Floors{}, fmt.Errorf("numerics: repeats %d and %d: %s", j, i, r.Reasons[0])
			}
			f.Pairs++
			f.BitEqual = f.BitEqual && r.Status == Identical
			for _, g := range []*Agreement{r.Decode, r.Prefill} {
				if g != nil {
					f.MeanAbs, f.MaxAbs, f.KL = max(f.MeanAbs, g.MeanAbs), max(f.MaxAbs, g.MaxAbs), max(f.KL, g.KL)
				}
			}
		}
	}
	return f, nil
}

// exceeded names the limits that g is beyond.
func (l Limits) exceeded(path string, kind Kind, g *Agreement) []string {
	if g == nil {
		return nil
	}
	var all []string
	say := func(format string, args ...any) { all = append(all, path+": "+fmt.Sprintf(format, args...)) }
	if g.Top1Frac < l.Top1Frac {
		say("the most likely token agrees at %.2f %% of %d positions, want %.1f %%", 100*g.Top1Frac, g.Positions, 100*l.Top1Frac)
	}
	if g.MeanAbs > l.MeanAbs {
		say("mean |Δ| of %s is %.3g, limit %.3g", kind, g.MeanAbs, l.MeanAbs)
	}
	if g.MaxAbs > l.MaxAbs {
		say("max |Δ| of %s is %.3g at %s, limit %.3g", kind, g.MaxAbs, g.MaxAt, l.MaxAbs)
	}
	if g.KL > l.KL {
		say("mean KL is %.3g, limit %.3g", g.KL, l.KL)
	}
	return all
}
