package score

import (
	"iter"
	"maps"
	"slices"

	"stepbench/bench/batch"
	"stepbench/bench/stats"
)

// MaxGroups is how many groups are summed up by name: the first that come. The
// rows of others stand together as OtherGroups.
const MaxGroups = 200

// Names of groups that have none of their own.
const (
	OtherGroups = "(other groups)"
	NoGroup     = "(no group)"
)

// Options are what a summary needs to know of the run beside its results.
type Options struct {
	// Key seeds the bootstrap: the same results and key give the same intervals.
	Key string
	// Metrics are the names of those asked for. One without a single score is
	// shown with none, in this order; others that the results have follow.
	Metrics []string
	// WallS is how long the run took, all attempts together; 0 if not known.
	WallS float64
}

// Summary is a run in figures.
type Summary struct {
	Rows     int64           `json:"rows"`
	Answered int64           `json:"answered"`
	Failed   int64           `json:"failed"`
	Failures []Count         `json:"failures"` // rows, by code
	Metrics  []MetricSummary `json:"metrics"`
	Groups   []GroupSummary  `json:"groups"` // by name; none if no row has a group
	Tokens   Tokens          `json:"tokens"`
	Finish   []Count         `json:"finish"` // completions, by finish reason
	Latency  []Latency       `json:"latency"`
	WallS    float64         `json:"wall_s,omitempty"`
	Rates    *Rates          `json:"rates"` // null without a wall time
}

// GroupSummary is a group's part of the scores.
type GroupSummary struct {
	Group   string          `json:"group"`
	Rows    int64           `json:"rows"`
	Failed  int64           `json:"failed"`
	Metrics []MetricSummary `json:"metrics"`
}

// Tokens are those of answered rows.
type Tokens struct {
	Prompt int64 `json:"prompt"`
	Cached int64 `json:"cached"` // of Prompt, served from the prefix cache
	Output int64 `json:"output"`
}

// Latency is how one part of a completion's time is spread, by vLLM's own
// stamps; percentiles are right to within stats.SketchAccuracy.
type Latency struct {
	Part string  `json:"part"` // queue, prefill, decode, e2e
	N    int64   `json:"n"`    // completions
	Mean float64 `json:"mean_s"`
	P50  float64 `json:"p50_s"`
	P90  float64 `json:"p90_s"`
	P99  float64 `json:"p99_s"`
	Max  float64 `json:"max_s"`
}

// Rates are per second of wall time.
type Rates struct {
	Rows         float64 `json:"rows_per_s"`
	PromptTokens float64 `json:"prompt_tokens_per_s"`
	OutputTokens float64 `json:"output_tokens_per_s"`
}

// Summarizer sums results up as they come, in any order. It is for one
// goroutine.
type Summarizer struct {
	options  Options
	all      *tally
	groups   map[string]*tally
	failures map[string]int64
	finish   map[string]int64
	tokens   Tokens
	parts    [4]stats.Sketch
}

// NewSummarizer starts a summary.
func NewSummarizer(o Options) *Summarizer {
	return &Summarizer{
		options: o, all: newTally(), groups: map[string]*tally{},
		failures: map[string]int64{}, finish: map[string]int64{},
	}
}

// Add counts a row in. It keeps nothing of r.
func (s *Summarizer) Add(r *batch.Result) {
	s.all.add(r)
	groupIn(s.groups, r.Group, newTally).add(r)
	if r.Failure != nil {
		s.failures[r.Failure.Code]++
		return
	}
	s.tokens.Prompt += int64(r.PromptTokens)
	s.tokens.Cached += int64(r.CachedTokens)
	for i := range r.Choices {
		c := &r.Choices[i]
		s.finish[c.Finish]++
		s.tokens.Output += int64(c.OutputTokens)
		for part, seconds := range [...]float64{c.QueueS, c.PrefillS, c.DecodeS, c.E2ES} {
			s.parts[part].Add(seconds)
		}
	}
}

// groupIn finds the tally of a group, or that of the others once there are
// MaxGroups.
func groupIn[T any](groups map[string]*T, name string, make func() *T) *T {
	if name == "" {
		name = NoGroup
	}
	if groups[name] == nil && len(groups) >= MaxGroups {
		name = OtherGroups
	}
	if groups[name] == nil {
		groups[name] = make()
	}
	return groups[name]
}

// groupNames are those to show: none if no row has a group.
func groupNames[T any](groups map[string]*T) []string {
	if len(groups) == 1 && groups[NoGroup] != nil {
		return nil
	}
	return slices.Sorted(maps.Keys(groups))
}

// Summary is the run so far.
func (s *Summarizer) Summary() *Summary {
	out := &Summary{
		Rows: s.all.rows, Failed: s.all.failed, Answered: s.all.rows - s.all.failed,
		Failures: counts(s.failures), Finish: counts(s.finish), Tokens: s.tokens,
		Metrics: s.all.summaries(s.options.Metrics, s.options.Key),
		Groups:  []GroupSummary{}, Latency: []Latency{}, WallS: s.options.WallS,
	}
	for _, name := range groupNames(s.groups) {
		g := s.groups[name]
		out.Groups = append(out.Groups, GroupSummary{
			Group: name, Rows: g.rows, Failed: g.failed,
			Metrics: g.summaries(s.options.Metrics, s.options.Key+"/"+name),
		})
	}
	for i, part := range []string{"queue", "prefill", "decode", "e2e"} {
		sketch := &s.parts[i]
		if sketch.N() == 0 {
			continue
		}
		p := sketch.Percentiles(0.5, 0.9, 0.99)
		out.Latency = append(out.Latency, Latency{part, sketch.N(), sketch.Mean(), p[0], p[1], p[2], sketch.Max()})
	}
	if wall := s.options.WallS; wall > 0 {
		out.Rates = &Rates{
			Rows:         float64(out.Answered) / wall,
			PromptTokens: float64(out.Tokens.Prompt) / wall,
			OutputTokens: float64(out.Tokens.Output) / wall,
		}
	}
	return out
}

// Summarize sums up all results. Its error is that of the results.
func Summarize(results iter.Seq2[*batch.Result, error], o Options) (*Summary, error) {
	s := NewSummarizer(o)
	for r, err := range results {
		if err != nil {
			return nil, err
		}
		s.Add(r)
	}
	return s.Summary(), nil
}
