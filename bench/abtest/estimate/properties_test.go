package estimate

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
)

// FuzzDecide holds Decide to what must be true of any data:
//   - arms swapped, the effect changes its sign and FASTER and SLOWER change places;
//   - the order of launches and of quads does not matter;
//   - added to every quad, a constant is added to the effect;
//   - a larger margin turns verdicts into SAME and changes no other way;
//   - the verdict agrees with the bounds printed beside it, and all can be written.
func FuzzDecide(f *testing.F) {
	for _, k := range []uint8{1, 2, 3, 4, 8} {
		f.Add(uint64(k), k, uint8(8), 0.002, 0.0, 0.005, true)
		f.Add(uint64(k), k, uint8(8), 0.002, 0.005, 0.005, false)
		f.Add(uint64(k), k, uint8(1), 0.01, -0.02, 0.0025, false)
		f.Add(uint64(k), k, uint8(3), 0.001, 0.003, 0.001, true)
	}
	f.Fuzz(func(t *testing.T, seed uint64, k, m uint8, deviation, effect, margin float64, calibrated bool) {
		if k == 0 || k > 8 || m == 0 || m > 16 || !(deviation > 1e-6 && deviation < 1) || !(math.Abs(effect) < 1) || !(margin > 1e-6 && margin < 1) {
			t.Skip()
		}
		rng := rand.New(rand.NewPCG(seed, 1))
		launches := make([][]float64, k)
		for i := range launches {
			for range m {
				launches[i] = append(launches[i], effect+deviation*rng.NormFloat64())
			}
		}
		rule := Rule{Margin: margin, Alpha: 0.05}
		if calibrated {
			rule.Calibration = calibrationOf(t, deviation*deviation/4)
		}
		r := Decide(launches, rule)
		if _, err := json.Marshal(r); err != nil {
			t.Errorf("%+v cannot be written: %v", r, err)
		}
		checkAgainstBounds(t, r)

		swapped := Decide(mapped(launches, func(d float64) float64 { return -d }), rule)
		opposite := map[Verdict]Verdict{Faster: Slower, Slower: Faster, Same: Same, Inconclusive: Inconclusive}
		if swapped.EffectLog != -r.EffectLog || swapped.Verdict != opposite[r.Verdict] || swapped.LaunchesToSettle != r.LaunchesToSettle {
			t.Errorf("arms swapped: %+v became %+v", r, swapped)
		}

		shuffled := mapped(launches, func(d float64) float64 { return d })
		rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		for _, d := range shuffled {
			rng.Shuffle(len(d), func(i, j int) { d[i], d[j] = d[j], d[i] })
		}
		// A sum depends on the order of its terms in the last digit, so a
		// verdict may too where a bound meets the margin to that digit.
		if s := Decide(shuffled, rule); !nearly(s.EffectLog, r.EffectLog) || s.Verdict != r.Verdict && !onEdge(r) {
			t.Errorf("shuffled: %+v became %+v", r, s)
		}

		moved := Decide(mapped(launches, func(d float64) float64 { return d + 0.25 }), rule)
		if !nearly(moved.EffectLog, r.EffectLog+0.25) || r.Bounds != nil && !nearly(moved.Bounds.SELog, r.Bounds.SELog) {
			t.Errorf("moved by 0.25: %+v became %+v", r, moved)
		}

		rule.Margin *= 1.5
		if wider := Decide(launches, rule); wider.Verdict != Same && wider.Verdict != r.Verdict || r.Verdict == Same && wider.Verdict != Same && r.Bounds != nil {
			t.Errorf("at a larger margin %s became %s", r.Verdict, wider.Verdict)
		}
	})
}

// checkAgainstBounds reads the verdict off the printed bounds.
func checkAgainstBounds(t *testing.T, r Result) {
	t.Helper()
	b := r.Bounds
	if b == nil {
		if r.Verdict != Inconclusive {
			t.Errorf("%s without bounds", r.Verdict)
		}
		return
	}
	for _, ci := range [][2]float64{{b.TOST.Lo, b.TOST.Hi}, {b.CI.Lo, b.CI.Hi}, {b.CI99.Lo, b.CI99.Hi}} {
		if !(ci[0] <= r.EffectLog && r.EffectLog <= ci[1]) {
			t.Errorf("the effect is outside %v: %+v", ci, r)
		}
	}
	if !(b.CI99.Lo <= b.CI.Lo && b.CI.Lo <= b.TOST.Lo && b.TOST.Hi <= b.CI.Hi && b.CI.Hi <= b.CI99.Hi) {
		t.Errorf("intervals are not nested: %+v", *b)
	}
	excludes := b.CI.Lo > 0 || b.CI.Hi < 0
	if excludes != (b.P < r.Alpha) && !nearly(b.P, r.Alpha) {
		t.Errorf("p = %g, interval %v", b.P, b.CI)
	}
	inside := math.Abs(r.EffectLog)+(b.TOST.Hi-b.TOST.Lo)/2 < r.MarginLog
	claimed := excludes && math.Abs(r.EffectLog) > b.FloorLog && !inside
	if !onEdge(r) && ((r.Verdict == Same) != inside || (r.Verdict == Faster || r.Verdict == Slower) != claimed) {
		t.Errorf("%s of %+v", r.Verdict, *b)
	}
	if settled := r.Verdict != Inconclusive; settled && r.LaunchesToSettle != 0 || !settled && r.LaunchesToSettle > 0 && r.LaunchesToSettle <= len(r.LaunchesLog) {
		t.Errorf("%s with %d launches to settle", r.Verdict, r.LaunchesToSettle)
	}
}

// onEdge tells whether a comparison of the rule is a tie but for rounding.
func onEdge(r Result) bool {
	b := r.Bounds
	return b != nil && (nearly(b.TOST.Lo, -r.MarginLog) || nearly(b.TOST.Hi, r.MarginLog) || nearly(b.CI.Lo, 0) || nearly(b.CI.Hi, 0) ||
		nearly(math.Abs(r.EffectLog), b.FloorLog))
}

func nearly(a, b float64) bool { return math.Abs(a-b) <= 1e-9*(1e-3+math.Abs(a)+math.Abs(b)) }

func mapped(launches [][]float64, f func(float64) float64) [][]float64 {
	out := make([][]float64, len(launches))
	for i, d := range launches {
		for _, v := range d {
			out[i] = append(out[i], f(v))
		}
	}
	return out
}
