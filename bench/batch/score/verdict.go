package score

import "stepbench/bench/stats"

// Verdict is what a comparison comes to.
type Verdict string

const (
	// Same: no row's score changed, nor, without scores, any text.
	Same Verdict = "SAME"
	// Better and Worse: the 95 % interval of a metric's difference is clear of 0.
	Better Verdict = "BETTER"
	Worse  Verdict = "WORSE"
	// NotResolved: scores changed, by no more than chance does.
	NotResolved Verdict = "NOT RESOLVED"
	// OutputsDiffer: there are no scores to go by.
	OutputsDiffer Verdict = "OUTPUTS DIFFER"
	// NotComparable: the runs have no row in common.
	NotComparable Verdict = "NOT COMPARABLE"
)

// judge gives a metric's verdict, in which a failed row counts.
func (d *Difference) judge() Verdict {
	verdict, scored := Same, false
	for _, p := range []*Paired{d.OfAnswered, d.OfAll} {
		if p == nil {
			continue
		}
		scored = true
		switch v := p.judge(d.Metric); {
		case v == Worse:
			return Worse
		case v == Better, verdict == Same:
			verdict = v
		}
	}
	if !scored {
		return NotResolved
	}
	return verdict
}

// judge reads the interval once stats.MinUnits rows changed: below, resamples of
// so few changes show too little spread, and the exact test could not reach 0.05
// either. Where all pairs changed alike there is no interval, and that test
// decides.
func (p *Paired) judge(metric string) Verdict {
	changed := p.Up + p.Down
	rises, falls := false, false
	switch {
	case changed == 0:
		return Same
	case changed < stats.MinUnits:
		return NotResolved
	case p.CI != nil:
		rises, falls = p.CI.Lo > 0, p.CI.Hi < 0
	case p.P <= 1-stats.Level:
		rises, falls = p.Delta > 0, p.Delta < 0
	}
	if metric == Perplexity {
		rises, falls = falls, rises
	}
	switch {
	case falls:
		return Worse
	case rises:
		return Better
	}
	return NotResolved
}

// overall is the worst of the metrics' verdicts: WORSE before BETTER, which one
// undecided metric does not take back.
func (c *Comparison) overall() Verdict {
	if c.Pairs == 0 {
		return NotComparable
	}
	seen := map[Verdict]bool{}
	for i := range c.Metrics {
		seen[c.Metrics[i].Verdict] = true
	}
	switch {
	case seen[Worse]:
		return Worse
	case seen[Better]:
		return Better
	case seen[NotResolved]:
		return NotResolved
	case seen[Same]:
		return Same
	case c.Changed.Rows > 0:
		return OutputsDiffer
	}
	return Same
}
