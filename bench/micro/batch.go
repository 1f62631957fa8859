package micro

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Batch is the composition of one step, by groups of equal requests.
type Batch []Group

// Group is Count requests that each compute Query tokens in the step and have
// Total tokens after it: those in the KV cache before plus the query tokens.
type Group struct {
	Count, Query, Total int
}

// kind is what a request does in a step.
type kind int

const (
	// prefill computes a whole prompt: Query equals Total.
	prefill kind = iota
	// extend computes the end of a prompt whose start is in the KV cache.
	extend
	// decode computes one token after others.
	decode
)

// kind says what the group's requests do. A single token with nothing before
// it is a prompt.
func (g Group) kind() kind {
	switch {
	case g.Query == g.Total:
		return prefill
	case g.Query == 1:
		return decode
	}
	return extend
}

// maxBatchText is far beyond any batch that a person would write.
const maxBatchText = 4096

// segment is COUNT? q QUERY k? (s TOTAL k?)?
var segment = regexp.MustCompile(`^(\d*)q(\d+k?)(?:s(\d+k?))?$`)

// ParseBatch reads a batch in the grammar of vLLM's attention benchmarks
// (benchmarks/attention_benchmarks/batch_spec.py): segments joined by "_", each
//
//	COUNT? q QUERY (s TOTAL)?
//
// with COUNT requests (1 unless given), QUERY new tokens each, and TOTAL
// tokens of sequence including the query (QUERY unless given, so a prefill). A
// suffix k multiplies QUERY or TOTAL by 1024.
//
//	q2k             one prefill of 2048 tokens
//	8q1s1k          8 decodes, each of one token, the 1024th of its sequence
//	2q2k_32q1s1k    2 prefills beside 32 decodes
//	q512s2k         the last 512 tokens of a prompt of 2048, the rest cached
//
// The result is canonical: groups of equal shape are merged; prefills come
// first, then extends, then decodes, each by falling query and total. Total may
// not be below query, and numbers are from 1 to 2^24.
func ParseBatch(text string) (Batch, error) {
	if len(text) > maxBatchText {
		return nil, fmt.Errorf("batch of %d characters is too long", len(text))
	}
	var b Batch
	for part := range strings.SplitSeq(text, "_") {
		g, err := parseGroup(part)
		if err != nil {
			return nil, fmt.Errorf("batch %q: %w", text, err)
		}
		b = append(b, g)
	}
	b = b.canonical()
	for _, g := range b {
		if g.Count > maxSize {
			return nil, fmt.Errorf("batch %q: more than %d equal requests", text, maxSize)
		}
	}
	return b, nil
}

func parseGroup(part string) (Group, error) {
	m := segment.FindStringSubmatch(part)
	if m == nil {
		return Group{}, fmt.Errorf("%q is not COUNTqQUERYsTOTAL, such as 8q1s1k or q2k", part)
	}
	g := Group{Count: 1}
	var err error
	if m[1] != "" {
		if g.Count, err = parseSize(m[1]); err != nil {
			return Group{}, fmt.Errorf("count: %w", err)
		}
	}
	if g.Query, err = parseSize(m[2]); err != nil {
		return Group{}, fmt.Errorf("query: %w", err)
	}
	if g.Total = g.Query; m[3] != "" {
		if g.Total, err = parseSize(m[3]); err != nil {
			return Group{}, fmt.Errorf("total: %w", err)
		}
	}
	if g.Total < g.Query {
		return Group{}, fmt.Errorf("%q has %d tokens in total, fewer than its %d query tokens", part, g.Total, g.Query)
	}
	return g, nil
}

// ParseBatches reads batches separated by commas. flag names them in errors.
func ParseBatches(flag, text string) ([]Batch, error) {
	var all []Batch
	for item := range strings.SplitSeq(text, ",") {
		b, err := ParseBatch(strings.TrimSpace(item))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", flag, err)
		}
		all = append(all, b)
	}
	return all, nil
}

func (b Batch) canonical() Batch {
	out := slices.Clone(b)
	slices.SortStableFunc(out, func(x, y Group) int {
		return cmp.Or(cmp.Compare(x.kind(), y.kind()), cmp.Compare(y.Query, x.Query), cmp.Compare(y.Total, x.Total))
	})
	merged := out[:0]
	for _, g := range out {
		if n := len(merged); n > 0 && merged[n-1].Query == g.Query && merged[n-1].Total == g.Total {
			merged[n-1].Count += g.Count
			continue
		}
		merged = append(merged, g)
	}
	return merged
}

// String is the batch as ParseBatch reads it.
func (b Batch) String() string {
	parts := make([]string, len(b))
	for i, g := range b {
		parts[i] = g.String()
	}
	return strings.Join(parts, "_")
}

// String is the group's segment: a count of 1 and the total of a prefill are
// left out.
func (g Group) String() string {
	text := "q" + formatSize(g.Query)
	if g.Count != 1 {
		text = strconv.Itoa(g.Count) + text
	}
	if g.Total != g.Query {
		text += "s" + formatSize(g.Total)
	}
	return text
}

// count is the number of requests of kind k.
func (b Batch) count(k kind) int {
	n := 0
	for _, g := range b {
		if g.kind() == k {
			n += g.Count
		}
	}
	return n
}

// queryTokens is the number of tokens that the step computes.
func (b Batch) queryTokens() int {
	n := 0
	for _, g := range b {
		n += g.Count * g.Query
	}
	return n
}
