package numerics

import (
	"fmt"
	"math"
)

// Agreement compares the logprobs of two arms along one path. Positions at which
// an arm has NaN or Inf enter none of the means.
type Agreement struct {
	Positions int  `json:"positions"` // compared
	BitEqual  bool `json:"bit_equal"` // tokens, logprobs and the most likely tokens
	// Top1Frac is the share of positions at which B's most likely token is A's,
	// or one that A finds exactly as likely.
	Top1Frac float64 `json:"top1_frac"`
	// MeanAbs and MaxAbs are of |Δlogprob| of A's tokens, in nats.
	MeanAbs float64 `json:"logprob_mean_abs_diff"`
	MaxAbs  float64 `json:"logprob_max_abs_diff"`
	MaxAt   Place   `json:"logprob_max_at"`
	// KL is the mean Kullback-Leibler divergence of B from A in nats, over the
	// k tokens most likely in A, renormalised in both.
	KL float64 `json:"kl_mean"`
	// Unlisted counts the tokens needed of B that it did not list. They are at
	// most as likely as the last one that it listed, whose logprob was taken.
	Unlisted int `json:"unlisted"`
}

// Place is a position of a prompt's continuation, both from 0.
type Place struct {
	Prompt   int `json:"prompt"`
	Position int `json:"position"`
}

// String names both.
func (p Place) String() string { return fmt.Sprintf("prompt %d, position %d", p.Prompt, p.Position) }

// agree compares the first upto[i] positions of sequence i.
func agree(a, b *Outputs, upto []int) *Agreement {
	g := &Agreement{BitEqual: true}
	var same int
	var sumAbs, sumKL float64
	for i := range a.Sequences {
		for j := range upto[i] {
			p, q := a.Sequences[i].at(j), b.Sequences[i].at(j)
			g.BitEqual = g.BitEqual && p.sameBits(q)
			if !p.finite() || !q.finite() {
				continue
			}
			g.Positions++
			if sameTop(p, q) {
				same++
			}
			d := g.difference(p, q)
			if d > g.MaxAbs {
				g.MaxAbs, g.MaxAt = d, Place{i, j}
			}
			sumAbs += d
			sumKL += g.divergence(p, q)
		}
	}
	if g.Positions > 0 {
		n := float64(g.Positions)
		g.Top1Frac, g.MeanAbs, g.KL = float64(same)/n, sumAbs/n, sumKL/n
	}
	return g
}

// sameTop says that q's most likely token is p's, or ties with it in p: rounded
// logits often tie, and which of them comes first says nothing.
func sameTop(p, q position) bool {
	for i, token := range p.top {
		if p.topLogprobs[i] != p.topLogprobs[0] {
			return false
		}
		if token == q.top[0] {
			return true
		}
	}
	return false
}

// difference is |Δlogprob| of p's token.
func (g *Agreement) difference(p, q position) float64 {
	other, listed := q.logprobOf(p.token)
	if !listed {
		g.Unlisted++
	}
	return math.Abs(other - p.logprob)
}

// divergence is Σ P ln(P/Q) over p's most likely tokens, where P and Q are p and
// q divided by their sums over these tokens.
func (g *Agreement) divergence(p, q position) float64 {
	others := make([]float64, len(p.top))
	for i, token := range p.top {
		var listed bool
		if others[i], listed = q.logprobOf(token); !listed {
			g.Unlisted++
		}
	}
	sumP, sumQ := logSum(p.topLogprobs), logSum(others)
	var kl float64
	for i, x := range p.topLogprobs {
		lnP, lnQ := x-sumP, others[i]-sumQ
		kl += math.Exp(lnP) * (lnP - lnQ)
	}
	return max(0, kl) // rounding can take it below
}

// logSum is ln Σ exp(x), without overflow.
func logSum(x []float64) float64 {
	top := math.Inf(-1)
	for _, v := range x {
		top = max(top, v)
	}
	var sum float64
	for _, v := range x {
		sum += math.Exp(v - top)
	}
	return top + math.Log(sum)
}
