package score

import (
	"fmt"
	"iter"
	"math"

	"stepbench/bench/batch"
	"stepbench/bench/stats"
)

// Run describes one of the runs of a comparison.
type Run struct {
	Name string `json:"name"`
	// Settings are what the manifest says of input, model and sampling. Those in
	// both runs with other values, or in one of them, become warnings.
	Settings []Setting `json:"settings,omitempty"`
}

// Setting is one of them.
type Setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// CompareOptions are what a comparison needs beside the results.
type CompareOptions struct {
	A, B Run
	// Key seeds the bootstrap.
	Key string
	// Limit is how many changed rows, and how many ids that only one run has,
	// are listed; the others are counted. 0 means 20.
	Limit int
	// Changed is given every changed row, in no particular order, if not nil. Its
	// error ends the comparison.
	Changed func(*Change) error
	// TextBytes is how much memory the completions of rows may take whose
	// partner has not been read. 0 means 256 MiB.
	TextBytes int64
}

// Comparison is what two runs have in common and what not. A is the baseline.
type Comparison struct {
	A       Run     `json:"a"`
	B       Run     `json:"b"`
	Verdict Verdict `json:"verdict"`
	// Pairs are rows in both runs, matched by id; generated ids hold the index.
	Pairs int64 `json:"pairs"`
	// Of the pairs, those that failed.
	FailedOnlyA int64             `json:"failed_only_in_a"`
	FailedOnlyB int64             `json:"failed_only_in_b"`
	FailedBoth  int64             `json:"failed_in_both"`
	OnlyA       Alone             `json:"only_in_a"`
	OnlyB       Alone             `json:"only_in_b"`
	Metrics     []Difference      `json:"metrics"` // by name
	Groups      []GroupDifference `json:"groups"`
	Changed     Changes           `json:"changed"`
	Warnings    []string          `json:"warnings"`
}

// GroupDifference is a group's part of the differences. It has no say in the
// verdict: of many groups some would be clear of 0 by chance.
type GroupDifference struct {
	Group   string       `json:"group"`
	Pairs   int64        `json:"pairs"`
	Metrics []Difference `json:"metrics"`
}

// Alone are rows that only one run has.
type Alone struct {
	Rows int64    `json:"rows"`
	IDs  []string `json:"ids"` // the first ones in order
}

// Changes are the rows that changed.
type Changes struct {
	Rows    int64 `json:"rows"`
	Texts   int64 `json:"texts"`   // with another text
	Scores  int64 `json:"scores"`  // with another score, perplexity aside
	Listing int64 `json:"listing"` // in List; the others are only counted
	// FirstToken is how far the texts that differ went together, in tokens; null
	// if no tokens were kept.
	FirstToken *Divergence `json:"first_token"`
	List       []*Change   `json:"list"` // the gravest first
}

// Divergence is over the changed rows of which both runs kept the tokens.
type Divergence struct {
	N   int64   `json:"n"`
	Min int     `json:"min"`
	P50 float64 `json:"p50"`
	Max int     `json:"max"`
}

// comparing is a comparison in the making.
type comparing struct {
	options CompareOptions
	out     *Comparison
	all     *pairTally
	groups  map[string]*pairTally
	list    listing
	first   stats.Sketch
	min     int
	prompts int64 // pairs whose prompts have other lengths
	lost    int64 // changes without texts
}

// Compare reads both runs once, side by side, in any order of their rows. It may
// keep what the results point to.
func Compare(a, b iter.Seq2[*batch.Result, error], o CompareOptions) (*Comparison, error) {
	if o.Limit == 0 {
		o.Limit = 20
	}
	if o.TextBytes == 0 {
		o.TextBytes = 256 << 20
	}
	c := &comparing{
		options: o, out: &Comparison{A: o.A, B: o.B, Groups: []GroupDifference{}, Warnings: []string{}},
		all: newPairTally(), groups: map[string]*pairTally{}, list: listing{limit: o.Limit}, min: math.MaxInt,
	}
	j := &join{memory: o.TextBytes, pair: c.pair}
	if err := j.run([2]iter.Seq2[*batch.Result, error]{a, b}); err != nil {
		return nil, err
	}
	out := c.out
	out.OnlyA, out.OnlyB = j.alone(0, o.Limit), j.alone(1, o.Limit)
	out.Pairs, out.FailedOnlyA, out.FailedOnlyB, out.FailedBoth = c.all.pairs, c.all.failedA, c.all.failedB, c.all.failed
	out.Metrics = c.all.differences(o.Key)
	for _, name := range groupNames(c.groups) {
		g := c.groups[name]
		out.Groups = append(out.Groups, GroupDifference{name, g.pairs, g.differences(o.Key + "/" + name)})
	}
	out.Changed.List = append([]*Change{}, c.list.cut()...)
	out.Changed.Listing = int64(len(out.Changed.List))
	if c.first.N() > 0 {
		out.Changed.FirstToken = &Divergence{c.first.N(), c.min, math.Round(c.first.Percentiles(0.5)[0]), int(c.first.Max())}
	}
	out.Verdict = out.overall()
	c.warn()
	return out, nil
}

func (c *comparing) pair(id string, a, b *side) error {
	key := keyOf(id) + uint64(a.index) // two rows may have claimed the id
	c.all.add(key, a, b)
	group := a.group
	if group == "" {
		group = b.group
	}
	groupIn(c.groups, group, newPairTally).add(key, a, b)
	if a.failure == nil && b.failure == nil && a.promptTokens != b.promptTokens {
		c.prompts++
	}
	change := changed(id, a, b)
	if change == nil {
		return nil
	}
	c.out.Changed.Rows++
	if change.TextDiffers {
		c.out.Changed.Texts++
	}
	if change.Scores != nil {
		c.out.Changed.Scores++
	}
	if change.TextsForgotten {
		c.lost++
	}
	if at := change.FirstToken; at != nil {
		c.first.Add(float64(*at))
		c.min = min(c.min, *at)
	}
	c.list.add(change)
	if c.options.Changed != nil {
		return c.options.Changed(change)
	}
	return nil
}

// warn says what makes the comparison less than one of like with like.
func (c *comparing) warn() {
	out := c.out
	say := func(format string, args ...any) { out.Warnings = append(out.Warnings, fmt.Sprintf(format, args...)) }
	inB := map[string]string{}
	for _, s := range out.B.Settings {
		inB[s.Name] = s.Value
	}
	for _, s := range out.A.Settings {
		v, both := inB[s.Name]
		delete(inB, s.Name)
		switch {
		case !both:
			say("%s: %s in A, not given in B", s.Name, s.Value)
		case v != s.Value:
			say("%s: %s in A, %s in B", s.Name, s.Value, v)
		}
	}
	for _, s := range out.B.Settings {
		if v, left := inB[s.Name]; left {
			say("%s: not given in A, %s in B", s.Name, v)
		}
	}
	if c.prompts > 0 {
		say("prompts have other numbers of tokens in %s: the inputs, chat templates or tokenizers differ", plural(c.prompts, "pair", "pairs"))
	}
	if c.all.tokensOff > 0 {
		say("perplexity is over other numbers of tokens in %s: per token it compares only models with the same tokenizer", plural(c.all.tokensOff, "pair", "pairs"))
	}
	if n := out.FailedOnlyB; n > 0 {
		say("%s failed in B, not in A", plural(n, "row", "rows"))
	}
	for _, alone := range []struct {
		run  string
		rows int64
	}{{"A", out.OnlyA.Rows}, {"B", out.OnlyB.Rows}} {
		if alone.rows > 0 {
			say("%s only in %s, left out", plural(alone.rows, "row", "rows"), alone.run)
		}
	}
	for i := range out.Metrics {
		if d := &out.Metrics[i]; d.OnlyA+d.OnlyB > 0 {
			say("%s was scored in only one of the runs in %s answered by both: left out", d.Metric, plural(d.OnlyA+d.OnlyB, "row", "rows"))
		}
	}
	if c.lost > 0 {
		say("the texts of %s are not listed: the runs went through the rows in too different orders to hold all of them", plural(c.lost, "changed row", "changed rows"))
	}
}
