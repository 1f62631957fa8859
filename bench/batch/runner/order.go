package runner

import (
	"cmp"
	"math"
	"slices"
)

// longestFirst puts a load in the order in which it runs: what may take most steps
// first, so that at the end no straggler decodes alone (longest processing time
// first; R. L. Graham, Bounds on Multiprocessing Timing Anomalies, 1969).
func longestFirst(load []*task) {
	slices.SortStableFunc(load, func(a, b *task) int {
		return cmp.Or(cmp.Compare(b.mostOutput(), a.mostOutput()), cmp.Compare(len(b.prompt), len(a.prompt)))
	})
}

// mostOutput is how many tokens an answer may have. A row that sets no limit may
// take longest.
func (t *task) mostOutput() int {
	switch {
	case len(t.asks) == 0:
		return 0
	case t.row.Sampling.MaxTokens == 0 && t.row.Messages != nil:
		return math.MaxInt
	}
	return t.asks[0].Sampling.MaxTokens
}

// byPrefix brings prompts together that begin with the same blocks of KV cache:
// an engine whose cache cannot hold all beginnings at once then computes each
// one once, where otherwise they would evict each other. It walks the tree of
// blocks depth first. Of several branches the one with the earliest prompt goes
// first, so that an order by length stays one as far as nothing is shared. depth
// is how many blocks of size tokens all prompts of the load have in common.
func byPrefix(load []*task, size, depth int) {
	var groups [][]*task
	at := map[uint64]int{}
	for _, t := range load {
		end := (depth + 1) * size
		if len(t.prompt) < end {
			groups = append(groups, []*task{t}) // vLLM shares whole blocks alone
			continue
		}
		key := hashTokens(t.prompt[end-size : end])
		i, ok := at[key]
		if !ok {
			i = len(groups)
			at[key] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], t)
	}
	for _, g := range groups {
		if len(g) > 1 {
			byPrefix(g, size, depth+1)
		}
	}
	copy(load, slices.Concat(groups...))
}

// hashTokens is FNV-1a, a token at a time.
func hashTokens(tokens []int32) uint64 {
	h := uint64(14695981039346656037)
	for _, t := range tokens {
		h = (h ^ uint64(uint32(t))) * 1099511628211
	}
	return h
}
