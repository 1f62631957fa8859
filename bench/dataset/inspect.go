package dataset

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"stepbench/bench/stats"
)

// Inspection describes the rows of a file.
type Inspection struct {
	Source Source `json:"source"`
	Rows   int    `json:"rows"` // read
	// More says that the file goes on after them.
	More    bool           `json:"more,omitempty"`
	Usable  int            `json:"usable"` // rows that make a request
	LeftOut map[string]int `json:"left_out,omitempty"`
	Lengths []Spread       `json:"lengths"` // of usable rows
	// Arrivals is nil but for a trace with at least two usable rows.
	Arrivals *Arrivals `json:"arrivals,omitempty"`
}

// Spread describes a length over all rows that have it. It is of what was
// read, not a sample of something else, and so has no intervals.
type Spread struct {
	Name string  `json:"name"`
	Unit string  `json:"unit"`
	N    int     `json:"n"`
	Min  float64 `json:"min"`
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	Max  float64 `json:"max"`
}

// Arrivals is how often requests of a trace came.
type Arrivals struct {
	SpanS    float64 `json:"span_s"`     // from the first to the last
	RatePerS float64 `json:"rate_per_s"` // gaps per second: (n-1)/span; 0 if all came at once
	// PeakPerS is the most requests of any whole second of the trace.
	PeakPerS int `json:"peak_per_s"`
	// GapCV is the deviation of the gaps over their mean: 1 for Poisson, more
	// where they come in bursts. 0 if all came at once.
	GapCV float64 `json:"gap_cv"`
}

// Inspect reads up to most rows of s. Lengths of text are in tokens with a
// tokeniser, else in characters and words.
func Inspect(ctx context.Context, s Source, most int, tokenise Tokenise) (*Inspection, error) {
	r, err := Open(s)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	i := inspector{
		loader:  loader{LoadSpec: LoadSpec{Source: s, Tokenise: tokenise, Random: RandomSpec{Vocab: maxVocabulary}}},
		out:     &Inspection{Source: s, LeftOut: map[string]int{}, Lengths: []Spread{}},
		lengths: map[[2]string][]float64{},
	}
	for {
		row, err := r.Next()
		if err == io.EOF {
			break
		}
		if err == nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return nil, err
		}
		if i.out.Rows == most {
			i.out.More = true
			break
		}
		i.out.Rows++
		if row.LeftOut != "" {
			i.out.LeftOut[row.LeftOut]++
			continue
		}
		if err := i.take(ctx, row); err != nil {
			return nil, err
		}
	}
	if err := i.flush(ctx); err != nil {
		return nil, err
	}
	i.finish()
	return i.out, nil
}

// maxVocabulary lets every token id pass: no model is known here.
const maxVocabulary = 1<<31 - 1

type inspector struct {
	loader
	out     *Inspection
	batch   []Row // of text, to be tokenised together
	bytes   int   // of them
	lengths map[[2]string][]float64
	times   []int64 // ns, of a trace
}

func (i *inspector) take(ctx context.Context, row Row) error {
	i.out.Usable++
	if row.Text != "" && i.Tokenise != nil {
		i.batch = append(i.batch, row)
		i.bytes += len(row.Text) + len(row.Completion)
		if len(i.batch) == tokeniseRows || i.bytes >= tokeniseBytes {
			return i.flush(ctx)
		}
		return nil
	}
	i.add(&row)
	return nil
}

func (i *inspector) flush(ctx context.Context) error {
	if len(i.batch) == 0 {
		return nil
	}
	if err := i.tokens(ctx, i.batch); err != nil {
		return err
	}
	for k := range i.batch {
		i.batch[k].Text, i.batch[k].Completion = "", ""
		i.add(&i.batch[k])
	}
	i.batch, i.bytes = i.batch[:0], 0
	return nil
}

func (i *inspector) add(row *Row) {
	put := func(name, unit string, n int) {
		key := [2]string{name, unit}
		i.lengths[key] = append(i.lengths[key], float64(n))
	}
	text := func(name, text string) {
		put(name, "characters", utf8.RuneCountInString(text))
		put(name, "words", len(strings.Fields(text)))
	}
	if i.Source.Kind.Trace() {
		i.times = append(i.times, row.AtNs)
		put("input", "tokens", row.InputTokens)
	} else if row.Text != "" {
		text("input", row.Text)
	} else {
		put("input", "tokens", len(row.Tokens))
	}
	switch {
	case row.Completion != "":
		text("output", row.Completion)
	case row.OutputTokens > 0:
		put("output", "tokens", row.OutputTokens)
	}
}

func (i *inspector) finish() {
	keys := slices.SortedFunc(maps.Keys(i.lengths), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) })
	for _, key := range keys {
		x := i.lengths[key]
		slices.Sort(x)
		i.out.Lengths = append(i.out.Lengths, Spread{
			Name: key[0], Unit: key[1], N: len(x), Min: x[0], Mean: stats.Mean(x), Max: x[len(x)-1],
			P50: stats.Percentile(x, 0.5), P90: stats.Percentile(x, 0.9), P99: stats.Percentile(x, 0.99),
		})
	}
	if len(i.times) > 1 {
		i.out.Arrivals = arrivals(i.times)
	}
}

// arrivals describes ascending times in ns, at least two.
func arrivals(times []int64) *Arrivals {
	n := len(times)
	a := &Arrivals{SpanS: float64(times[n-1]-times[0]) / 1e9}
	gaps := make([]float64, n-1)
	second, count := int64(-1), 0
	for k, t := range times {
		if k > 0 {
			gaps[k-1] = float64(t - times[k-1])
		}
		if s := (t - times[0]) / 1e9; s != second {
			second, count = s, 0
		}
		count++
		a.PeakPerS = max(a.PeakPerS, count)
	}
	if a.SpanS == 0 {
		return a
	}
	a.RatePerS = float64(n-1) / a.SpanS
	if sd, ok := stats.SD(gaps); ok {
		a.GapCV = sd / stats.Mean(gaps)
	}
	return a
}

// WriteJSON writes the inspection as indented JSON.
func (i *Inspection) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(i)
}

// WriteMarkdown writes the inspection for people.
func (i *Inspection) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d rows", i.Source, i.Rows)
	if i.More {
		b.WriteString(" (there are more)")
	}
	fmt.Fprintf(&b, ", %d usable", i.Usable)
	for _, reason := range slices.Sorted(maps.Keys(i.LeftOut)) {
		fmt.Fprintf(&b, ", %d left out: %s", i.LeftOut[reason], reason)
	}
	b.WriteString("\n\n")
	if len(i.Lengths) > 0 {
		b.WriteString("| length | unit | n | min | mean | p50 | p90 | p99 | max |\n|---|---|---:|---:|---:|---:|---:|---:|---:|\n")
	}
	for _, s := range i.Lengths {
		fmt.Fprintf(&b, "| %s | %s | %d | %.0f | %.1f | %.0f | %.0f | %.0f | %.0f |\n",
			s.Name, s.Unit, s.N, s.Min, s.Mean, s.P50, s.P90, s.P99, s.Max)
	}
	if a := i.Arrivals; a != nil && a.SpanS == 0 {
		b.WriteString("\nAll arrived at once.\n")
	} else if a != nil {
		fmt.Fprintf(&b, "\nArrivals over %.1f s: %.3g requests/s on average, at most %d in a second, gap variation %.2f (1 is Poisson)\n",
			a.SpanS, a.RatePerS, a.PeakPerS, a.GapCV)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
