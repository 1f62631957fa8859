package numerics

import (
	"math"
	"testing"
)

// ln gives logprobs of probabilities.
func ln(p ...float64) Values {
	v := make(Values, len(p))
	for i := range p {
		v[i] = math.Log(p[i])
	}
	return v
}

// one is an arm's answer of a single position.
func one(token int32, logprob float64, top []int32, topLogprobs Values) *Outputs {
	return &Outputs{Kind: Logprobs, Sequences: []Sequence{{[]int32{token}, Values{logprob}, top, topLogprobs}}}
}

func TestAgreementByHand(t *testing.T) {
	a := one(7, math.Log(0.5), []int32{7, 8}, ln(0.5, 0.25))
	for _, c := range []struct {
		name     string
		b        *Outputs
		top1     float64
		abs, kl  float64
		unlisted int
	}{
		{"itself", a, 1, 0, 0, 0},
		// P = (2/3, 1/3), Q = (1/2, 1/2): 2/3·ln(4/3) + 1/3·ln(2/3).
		{"flatter", one(7, math.Log(0.25), []int32{7, 8}, ln(0.25, 0.25)), 1, math.Ln2, 0.056633012265132, 0},
		// Both halved: renormalised they are the same.
		{"less mass in the top", one(7, math.Log(0.25), []int32{7, 8}, ln(0.25, 0.125)), 1, math.Ln2, 0, 0},
		// Q = (1/3, 2/3): 2/3·ln 2 - 1/3·ln 2.
		{"the other way round", one(8, math.Log(0.5), []int32{8, 7}, ln(0.5, 0.25)), 0, math.Ln2, math.Ln2 / 3, 0},
		// 8 is not listed and at most as likely as 9: Q = (2/3, 1/3).
		{"one not listed", one(7, math.Log(0.5), []int32{7, 9}, ln(0.5, 0.25)), 1, 0, 0, 1},
		// Neither is listed, both get 0.125: Q = (1/2, 1/2). A's token too.
		{"none listed", one(1, math.Log(0.5), []int32{1, 2}, ln(0.5, 0.125)), 0, math.Log(4), 0.056633012265132, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := agree(a, c.b, []int{1})
			if g.Positions != 1 || g.Top1Frac != c.top1 || g.Unlisted != c.unlisted {
				t.Errorf("%d positions, top-1 %g, %d unlisted; want 1, %g, %d", g.Positions, g.Top1Frac, g.Unlisted, c.top1, c.unlisted)
			}
			if math.Abs(g.MaxAbs-c.abs) > 1e-14 || g.MeanAbs != g.MaxAbs || math.Abs(g.KL-c.kl) > 1e-14 {
				t.Errorf("mean %g, max %g, KL %.15g; want %g, KL %.15g", g.MeanAbs, g.MaxAbs, g.KL, c.abs, c.kl)
			}
			if g.BitEqual != (c.name == "itself") {
				t.Errorf("bitwise equal: %t", g.BitEqual)
			}
		})
	}
}

// A token that ties with A's first is as good as it.
func TestTiesAgree(t *testing.T) {
	tied := position{top: []int32{1, 2, 3}, topLogprobs: []float64{-1, -1, -2}}
	for _, c := range []struct {
		name string
		q    int32
		want bool
	}{{"the first", 1, true}, {"one that ties", 2, true}, {"one that does not", 3, false}, {"another", 9, false}} {
		if got := sameTop(tied, position{top: []int32{c.q}}); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}

// Means are over positions, the largest is where it is said to be, and nothing
// beyond the given positions or without a number counts.
func TestAgreementOverPositions(t *testing.T) {
	row := func(own ...float64) Sequence {
		s := Sequence{Logprobs: own, TopLogprobs: own}
		for range own {
			s.Tokens, s.Top = append(s.Tokens, 1), append(s.Top, 1)
		}
		return s
	}
	a := &Outputs{Sequences: []Sequence{row(-1, -1, -1, -1), row(-1, -1)}}
	b := &Outputs{Sequences: []Sequence{row(-1, -1.25, math.NaN(), -9), row(-1.5, -1)}}
	g := agree(a, b, []int{3, 2})
	if g.Positions != 4 || g.MaxAbs != 0.5 || g.MaxAt != (Place{1, 0}) || g.MeanAbs != 0.75/4 {
		t.Errorf("%+v", g)
	}
	if none := agree(a, b, []int{0, 0}); none.Positions != 0 || none.Top1Frac != 0 || !none.BitEqual {
		t.Errorf("nothing compared: %+v", none)
	}
}

func TestLogSumDoesNotOverflow(t *testing.T) {
	if got := logSum([]float64{-1e4, -1e4}); math.Abs(got-(-1e4+math.Ln2)) > 1e-9 {
		t.Errorf("got %g", got)
	}
}
