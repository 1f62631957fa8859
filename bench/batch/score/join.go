package score

import (
	"hash/fnv"
	"iter"
	"maps"
	"math"
	"slices"

	"stepbench/bench/batch"
)

// side is what is kept of a row until its partner comes.
type side struct {
	index        int64
	group        string
	promptTokens int32
	weight       float64 // tokens that perplexity is over
	scores       map[string]float64
	failure      *batch.Failure
	digest       uint64   // of all completions
	texts        []string // nil if forgotten
	tokens       [][]int32
}

func newSide(r *batch.Result) *side {
	s := &side{
		index: r.Index, group: r.Group, promptTokens: r.PromptTokens,
		scores: maps.Clone(r.Scores), failure: r.Failure,
	}
	_, s.weight = surprise(1, r)
	h := fnv.New64a()
	for i := range r.Choices {
		c := &r.Choices[i]
		s.texts = append(s.texts, c.Text)
		s.tokens = append(s.tokens, c.Tokens)
		h.Write([]byte(c.Text))
		h.Write([]byte{0xff}) // no byte of UTF-8: ends the text
	}
	s.digest = h.Sum64()
	for name, v := range s.scores {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			delete(s.scores, name)
		}
	}
	return s
}

// size is roughly how many bytes the completions take.
func (s *side) size() (bytes int64) {
	for i := range s.texts {
		bytes += int64(len(s.texts[i]) + 4*len(s.tokens[i]))
	}
	return bytes
}

// forget leaves the digest to tell whether texts differ.
func (s *side) forget() { s.texts, s.tokens = nil, nil }

// invalid rows may have the id of another row: that can be what is wrong.
func (s *side) invalid() bool { return s.failure != nil && s.failure.Code == "invalid_row" }

// join pairs the rows of two runs by id while both are read, in whatever order
// they come. It holds those whose partner has not come: few where the runs went
// through the rows in about the same order. Of those it holds the completions of
// no more than memory bytes.
type join struct {
	waiting [2]map[string][]*side
	memory  int64
	pair    func(id string, a, b *side) error
}

// run reads both to their end.
func (j *join) run(results [2]iter.Seq2[*batch.Result, error]) error {
	var next [2]func() (*batch.Result, error, bool)
	for i, seq := range results {
		j.waiting[i] = map[string][]*side{}
		pull, stop := iter.Pull2(seq)
		defer stop()
		next[i] = pull
	}
	for done := [2]bool{}; !done[0] || !done[1]; {
		for i := range next {
			if done[i] {
				continue
			}
			r, err, more := next[i]()
			if err != nil {
				return err
			}
			if done[i] = !more; more {
				if err := j.take(i, r); err != nil {
					return err
				}
			}
		}
	}
	return j.rest()
}

// take pairs a row with one that waits, or lets it wait.
func (j *join) take(run int, r *batch.Result) error {
	mine, other := newSide(r), j.waiting[1-run]
	for i, s := range other[r.ID] {
		if s.index != mine.index && (s.invalid() || mine.invalid()) {
			continue
		}
		if rest := slices.Delete(other[r.ID], i, i+1); len(rest) > 0 {
			other[r.ID] = rest
		} else {
			delete(other, r.ID)
		}
		j.memory += s.size()
		return j.both(r.ID, run, mine, s)
	}
	if size := mine.size(); size <= j.memory {
		j.memory -= size
	} else {
		mine.forget()
	}
	j.waiting[run][r.ID] = append(j.waiting[run][r.ID], mine)
	return nil
}

// rest pairs what waits with the same id at the end, in order of the index.
func (j *join) rest() error {
	byIndex := func(a, b *side) int { return int(a.index - b.index) }
	for _, id := range slices.Sorted(maps.Keys(j.waiting[0])) {
		a, b := j.waiting[0][id], j.waiting[1][id]
		slices.SortFunc(a, byIndex)
		slices.SortFunc(b, byIndex)
		n := min(len(a), len(b))
		for i := range n {
			if err := j.both(id, 0, a[i], b[i]); err != nil {
				return err
			}
		}
		j.waiting[0][id], j.waiting[1][id] = a[n:], b[n:]
	}
	return nil
}

func (j *join) both(id string, run int, mine, other *side) error {
	if run == 1 {
		mine, other = other, mine
	}
	return j.pair(id, mine, other)
}

// alone are the ids that only one run has, limit of them in order, and how many
// there are.
func (j *join) alone(run, limit int) Alone {
	out := Alone{IDs: []string{}}
	for _, id := range slices.Sorted(maps.Keys(j.waiting[run])) {
		for range j.waiting[run][id] {
			out.Rows++
			if len(out.IDs) < limit {
				out.IDs = append(out.IDs, id)
			}
		}
	}
	return out
}
