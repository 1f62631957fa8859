package abtest

import (
	"math"

	"stepbench/bench/abtest/estimate"
)

// tested estimates what the kernels under test alone did to a step, with the
// rest of it held at its mean. Processes differ for life by 0.1-0.3 % of a step,
// nearly all of it in large matrix products that a variant does not touch; the
// kernels that it does touch repeat to some 0.01 % of a step. What the change
// did to other kernels is not in it: that is the control's and the whole step's
// business. Nil where the kernels under test are not known.
func (j *judge) tested() *estimate.CellsResult {
	if j.result.Endpoint != Kern || len(j.ev.Code) == 0 {
		return nil
	}
	var cells []estimate.Cell
	launches := 0
	for i := range j.result.Cells {
		c := &j.result.Cells[i]
		names, ran := c.tested()
		if !ran {
			return nil
		}
		value := j.withRest(c.Name, names)
		d := j.ev.differences(c.Name, Attribution, value)
		if i == 0 {
			launches = len(d)
		}
		cells = append(cells, estimate.Cell{Name: c.Name, Weight: 1 / float64(len(j.result.Cells)), Launches: d})
	}
	r := estimate.DecideCells(cells, j.ev.Plan.Rule(launches, nil))
	return &r
}

// tested are the kernels that a variant brings and those that only one arm has,
// which a variant's may have replaced; ran says that there is any.
func (c *CellResult) tested() (names map[string]bool, ran bool) {
	names = map[string]bool{}
	for i := range c.Kernels {
		if k := &c.Kernels[i]; k.Target || k.NameA != k.NameB {
			names[k.NameA], names[k.NameB] = true, true
			ran = ran || k.Target
		}
	}
	delete(names, "")
	return names, ran
}

// withRest gives a burst's time in the named kernels and A's mean time in all
// others, so that logarithms of ratios are changes of a step.
func (j *judge) withRest(cell string, names map[string]bool) func(*Burst) float64 {
	in := func(b *Burst) float64 {
		var ns float64
		for i := range b.Profile.Rows {
			if r := &b.Profile.Rows[i]; names[r.Name] {
				ns += Kern.rowNs(r)
			}
		}
		return ns
	}
	var rest, n float64
	for i := range j.ev.Launches {
		quads, _ := j.ev.Launches[i].counted(cell, Attribution)
		for _, q := range quads {
			for _, b := range q.a {
				rest += Kern.ns(b.Profile) - in(b)
				n++
			}
		}
	}
	return func(b *Burst) float64 { return rest/math.Max(n, 1) + in(b) }
}
