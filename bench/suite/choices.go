package suite

import (
	"fmt"
	"slices"
	"strings"

	"stepbench/bench/arrival"
)

// choice is one combination of the axes.
type choice struct {
	axis, varied   string // "rate", "5 req/s"
	model, dataset string
	rate           float64
	pattern        string
	concurrency    int // above 0: a closed loop, without rate and pattern
	parallelism    Parallelism
}

// choices lists the combinations, each once.
func (f *File) choices() []choice {
	base := choice{axis: "base", varied: "base", model: f.Base.Model, dataset: f.Base.Dataset, rate: f.Base.Rate, pattern: f.Base.Pattern}
	base.parallelism, _ = ParseParallelism(f.Base.Parallelism) // checked by Parse
	out := []choice{base}
	if f.Mode == Cross {
		out = f.cross(base)
	} else {
		for _, axis := range f.axes() {
			for i := range axis.n {
				c := base
				c.axis = axis.name
				axis.set(&c, i)
				out = append(out, c)
			}
		}
	}
	var unique []choice
	for _, c := range out {
		if !slices.ContainsFunc(unique, c.same) {
			unique = append(unique, c)
		}
	}
	return unique
}

type axis struct {
	name string
	n    int
	set  func(c *choice, i int) // also names what varies
}

func (f *File) axes() []axis {
	return []axis{
		{"dataset", len(f.Datasets), func(c *choice, i int) { c.dataset = f.Datasets[i]; c.varied = c.dataset }},
		{"rate", len(f.Rates), func(c *choice, i int) { c.rate = f.Rates[i]; c.varied = fmt.Sprintf("%g req/s", c.rate) }},
		{"pattern", len(f.Patterns), func(c *choice, i int) { c.pattern = f.Patterns[i]; c.varied = c.pattern }},
		{"concurrency", len(f.Concurrency), func(c *choice, i int) {
			c.concurrency = f.Concurrency[i]
			c.varied = fmt.Sprintf("%d at a time", c.concurrency)
		}},
		{"model", len(f.Models), func(c *choice, i int) { c.model = f.Models[i]; c.varied = c.model }},
		{"parallelism", len(f.Parallelism), func(c *choice, i int) {
			c.parallelism, _ = ParseParallelism(f.Parallelism[i])
			c.varied = c.parallelism.String()
		}},
	}
}

// cross multiplies the axes out; one without values keeps the base's.
func (f *File) cross(base choice) []choice {
	base.axis, base.varied = "cross", ""
	out := []choice{base}
	for _, axis := range f.axes() {
		if axis.n == 0 {
			continue
		}
		var next []choice
		for _, c := range out {
			if axis.name == "concurrency" {
				next = append(next, c) // closed loops stand beside the rates
			}
			for i := range axis.n {
				d := c
				axis.set(&d, i)
				d.varied = strings.TrimPrefix(c.varied+", "+d.varied, ", ")
				next = append(next, d)
			}
		}
		out = next
	}
	return out
}

// load is the pattern as the results name it.
func (c choice) load() string {
	if c.concurrency > 0 {
		return string(arrival.Closed)
	}
	return c.pattern
}

func (c choice) open() bool {
	return c.load() != string(arrival.Closed) && c.pattern != string(arrival.Offline)
}

// same says that two choices are one measurement.
func (c choice) same(d choice) bool {
	rate := c.rate == d.rate || !c.open() && !d.open()
	return c.model == d.model && c.dataset == d.dataset && rate && c.load() == d.load() &&
		c.concurrency == d.concurrency && c.parallelism == d.parallelism
}
