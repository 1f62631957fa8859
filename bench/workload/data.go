package workload

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"stepbench/bench/dataset"
	"stepbench/engine"
)

// Length is the planned size of one request.
type Length = dataset.Length

// Lengths are the planned sizes of all requests, in order of their IDs. In
// JSON they are one text, as "811/192x2 768/192": long runs stay readable.
type Lengths []Length

// Data is what came of a dataset.
type Data struct {
	Lengths Lengths `json:"lengths"`
	// SHA256 identifies prompts, output lengths and trace times as they were
	// run; empty for random tokens, whose key says it.
	SHA256 string `json:"sha256,omitempty"`
	// Rows of the file that were read, and left out because they fit no request.
	Rows    int            `json:"rows,omitempty"`
	LeftOut map[string]int `json:"left_out,omitempty"` // by reason
	// Tokenising happens before the run and is in none of its latencies.
	TokeniseNs int64 `json:"tokenise_ns,omitempty"`
	Tokenised  int64 `json:"tokenised_tokens,omitempty"`
}

// MarshalText implements encoding.TextMarshaler.
func (l Lengths) MarshalText() ([]byte, error) {
	var b strings.Builder
	for i := 0; i < len(l); {
		run := 1
		for i+run < len(l) && l[i+run] == l[i] {
			run++
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%d/%d", l[i].InputTokens, l[i].OutputTokens)
		if run > 1 {
			fmt.Fprintf(&b, "x%d", run)
		}
		i += run
	}
	return []byte(b.String()), nil
}

// maxLengths bounds what a damaged manifest can make of a short text.
const maxLengths = 1 << 22

// UnmarshalText is the inverse of MarshalText.
func (l *Lengths) UnmarshalText(text []byte) error {
	*l = nil
	for _, field := range strings.Fields(string(text)) {
		lengths, count, many := strings.Cut(field, "x")
		in, out, _ := strings.Cut(lengths, "/")
		input, err1 := strconv.ParseUint(in, 10, 31)
		output, err2 := strconv.ParseUint(out, 10, 31)
		run, err3 := uint64(1), error(nil)
		if many {
			run, err3 = strconv.ParseUint(count, 10, 31)
		}
		if errors.Join(err1, err2, err3) != nil || run < 1 || run > uint64(maxLengths-len(*l)) {
			return fmt.Errorf("planned length %q is not IN/OUT or IN/OUTxCOUNT", field)
		}
		for range run {
			*l = append(*l, Length{InputTokens: int(input), OutputTokens: int(output)})
		}
	}
	return nil
}

// ranges are the smallest and largest lengths, as "768-1024" or "192".
func (l Lengths) ranges() (in, out string) {
	if len(l) == 0 {
		return "no", "no"
	}
	low, high := l[0], l[0]
	for _, x := range l {
		low.InputTokens, high.InputTokens = min(low.InputTokens, x.InputTokens), max(high.InputTokens, x.InputTokens)
		low.OutputTokens, high.OutputTokens = min(low.OutputTokens, x.OutputTokens), max(high.OutputTokens, x.OutputTokens)
	}
	span := func(a, b int) string {
		if a == b {
			return fmt.Sprint(a)
		}
		return fmt.Sprintf("%d-%d", a, b)
	}
	return span(low.InputTokens, high.InputTokens), span(low.OutputTokens, high.OutputTokens)
}

// Prepare reads the file of s where it has one, tokenises what is text, and
// gives the plan. It fills in Data, and the number of requests that the file has
// of those asked for: keep s after it. tokenise may be nil if not s.NeedsText().
func (s *Spec) Prepare(ctx context.Context, tokenise dataset.Tokenise) (engine.Plan, error) {
	if s.Source == nil {
		return s.Plan()
	}
	loaded, err := dataset.Load(ctx, dataset.LoadSpec{
		Source: *s.Source, Requests: s.Arrivals.Requests + s.TailRequests,
		Length: s.uniform(), MaxModelTokens: s.MaxModelTokens,
		Random: s.Prompts, Tokenise: tokenise,
	})
	if err != nil {
		return engine.Plan{}, err
	}
	s.Data = &Data{
		SHA256: dataset.SHA256(loaded.Items), Rows: loaded.Rows, LeftOut: loaded.LeftOut,
		TokeniseNs: loaded.TokeniseNs, Tokenised: loaded.Tokenised,
	}
	for _, item := range loaded.Items {
		s.Data.Lengths = append(s.Data.Lengths, Length{InputTokens: len(item.Prompt), OutputTokens: item.OutputTokens})
	}
	if n := len(loaded.Items); n <= s.WarmUpRequests {
		return engine.Plan{}, fmt.Errorf("%s: %d usable requests, at least %d are needed, the first %d are warm-up",
			s.Source, n, s.WarmUpRequests+1, s.WarmUpRequests)
	}
	s.Arrivals.Requests = min(s.Arrivals.Requests, len(loaded.Items))
	s.TailRequests = len(loaded.Items) - s.Arrivals.Requests
	return s.plan(loaded.Items)
}
