package score

import (
	"cmp"
	"maps"
	"slices"

	"stepbench/bench/batch"
)

// Change is a row that run B answered otherwise than run A: another text, another
// score that counts per row (perplexity is a measurement, not a verdict), or a
// failure in one of them.
type Change struct {
	ID     string `json:"id"`
	IndexA int64  `json:"index_a"`
	IndexB int64  `json:"index_b"`
	Group  string `json:"group,omitempty"`

	TextDiffers bool `json:"text_differs"`
	// Choice is the first completion that differs, from 0.
	Choice int `json:"choice"`
	// FirstToken is the first place, from 0, where the tokens of that completion
	// differ; the length of the shorter if it is the start of the other. Null
	// unless both runs kept the tokens.
	FirstToken *int `json:"first_token"`
	// Scores that differ.
	Scores map[string]ScorePair `json:"scores,omitempty"`
	// Texts of the completion. Empty with TextsForgotten: the runs' orders are too
	// different to hold all texts until their partner comes.
	TextA          string         `json:"text_a"`
	TextB          string         `json:"text_b"`
	TextsForgotten bool           `json:"texts_forgotten,omitempty"`
	FailureA       *batch.Failure `json:"failure_a,omitempty"`
	FailureB       *batch.Failure `json:"failure_b,omitempty"`
}

// ScorePair is a metric's score of a row in both runs.
type ScorePair struct {
	A float64 `json:"a"`
	B float64 `json:"b"`
}

// changed is nil if the row did not change.
func changed(id string, a, b *side) *Change {
	c := &Change{
		ID: id, IndexA: a.index, IndexB: b.index, Group: cmp.Or(a.group, b.group),
		FailureA: a.failure, FailureB: b.failure,
	}
	for name, v := range a.scores {
		if w, both := b.scores[name]; both && v != w && name != Perplexity {
			if c.Scores == nil {
				c.Scores = map[string]ScorePair{}
			}
			c.Scores[name] = ScorePair{v, w}
		}
	}
	answered := a.failure == nil && b.failure == nil
	c.TextDiffers = answered && a.digest != b.digest
	if c.Scores == nil && !c.TextDiffers && (a.failure == nil) == (b.failure == nil) {
		return nil
	}
	c.texts(a, b)
	return c
}

// texts fills in the first completion that differs, or the first.
func (c *Change) texts(a, b *side) {
	if c.TextDiffers && (a.texts == nil || b.texts == nil) {
		c.TextsForgotten = true
		return
	}
	for i := range min(len(a.texts), len(b.texts)) {
		if a.texts[i] != b.texts[i] {
			c.Choice = i
			break
		}
	}
	if c.Choice < len(a.texts) {
		c.TextA = a.texts[c.Choice]
	}
	if c.Choice < len(b.texts) {
		c.TextB = b.texts[c.Choice]
	}
	if c.Choice < len(a.tokens) && c.Choice < len(b.tokens) {
		c.FirstToken = firstDifference(a.tokens[c.Choice], b.tokens[c.Choice])
	}
}

// firstDifference is nil if one of them is not known or they are equal.
func firstDifference(a, b []int32) *int {
	if len(a) == 0 || len(b) == 0 || slices.Equal(a, b) {
		return nil
	}
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return &n
}

// rank is the order in which changes are worth a look: what got worse, then what
// got better, then what reads differently.
func (c *Change) rank() int {
	if c.FailureA == nil && c.FailureB != nil {
		return 0
	}
	rank := 3
	for _, s := range c.Scores {
		if s.B < s.A {
			return 1
		}
		rank = 2
	}
	if c.FailureA != nil && c.FailureB == nil {
		rank = 2
	}
	return rank
}

// listing keeps the changes most worth a look, limit of them.
type listing struct {
	limit int
	kept  []*Change
}

func (l *listing) add(c *Change) {
	if l.kept = append(l.kept, c); len(l.kept) >= 2*l.limit+64 {
		l.cut()
	}
}

func (l *listing) cut() []*Change {
	slices.SortFunc(l.kept, func(a, b *Change) int {
		return cmp.Or(cmp.Compare(a.rank(), b.rank()), cmp.Compare(a.IndexA, b.IndexA), cmp.Compare(a.ID, b.ID))
	})
	l.kept = slices.Clip(l.kept[:min(l.limit, len(l.kept))])
	return l.kept
}

// scoreNames are the metrics of a change by name.
func (c *Change) scoreNames() []string { return slices.Sorted(maps.Keys(c.Scores)) }
