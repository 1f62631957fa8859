package output

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stepbench/bench/batch"
	"stepbench/bench/batch/input"
	"stepbench/engine"
)

// result makes row i of every kind there is.
func result(i int64) batch.Result {
	r := batch.Result{Index: i, Place: batch.Place{File: "in.jsonl", Line: i + 1}, ID: fmt.Sprintf("id <%d> & ü", i),
		PromptTokens: int32(i%7 + 1), CachedTokens: int32(i % 3)}
	choice := func(k int64) batch.Choice {
		return batch.Choice{Text: strings.Repeat(fmt.Sprintf("text %d ", i), int(i%5)), OutputTokens: int32(k + 2), Finish: "stop",
			QueueS: 0.25, PrefillS: float64(i) / 8, DecodeS: 1, E2ES: 2}
	}
	logprobs := []batch.TokenLogprob{{Token: 5, Text: " a", Logprob: -0.5, Top: []batch.TokenLogprob{{Token: 5, Text: " a", Logprob: -0.5}, {Token: 6, Text: "é", Logprob: -1.5}}},
		{Token: 7, Text: "b", Logprob: -2}}
	switch i % 6 {
	case 0:
		r.Failure = &batch.Failure{Code: "invalid_row", Message: "in.jsonl:1: \"x\" is missing"}
	case 1:
		r.Choices = []batch.Choice{choice(0)}
		r.Endpoint = "/v1/chat/completions"
		r.Choices[0].Logprobs = logprobs
	case 2:
		r.Choices = []batch.Choice{choice(0), choice(1), choice(2)}
		r.Choices[1].Tokens = []int32{1, 2, 3}
		r.Endpoint = "/v1/completions"
		r.Choices[2].Logprobs = logprobs
	case 3: // a prompt alone
		r.PromptLogprobs = logprobs
		r.Scores = map[string]float64{"perplexity": 12.5}
	case 4:
		r.Choices = []batch.Choice{choice(0), choice(1)}
		for k := range r.Choices {
			r.Choices[k].Finish, r.Choices[k].LogLikelihood = "option", -3.5-float64(k)
		}
		r.Group, r.Scores = "b", map[string]float64{"choice": 1, "choice_norm": 0}
	case 5:
		r.Choices = []batch.Choice{choice(0)}
		r.Choices[0].Tokens = []int32{math.MaxInt32}
		r.Group, r.Scores = "a", map[string]float64{"exact": 0}
	}
	return r
}

func results(rows ...int64) []batch.Result {
	out := make([]batch.Result, len(rows))
	for i, row := range rows {
		out[i] = result(row)
	}
	return out
}

// upTo are the rows from 0 to n-1.
func upTo(n int64) []int64 {
	out := make([]int64, n)
	for i := range out {
		out[i] = int64(i)
	}
	return out
}

func manifest(f Format) Manifest {
	return Manifest{Command: []string{"batch", "in.jsonl"}, Format: f, Model: "m", Engine: []byte(`{"model": "m"}`),
		Input: input.Fingerprint{{Name: "in.jsonl", SizeBytes: 10, HeadSHA256: "aa"}}, Sampling: engine.Sampling{MaxTokens: 4}}
}

func open(t testing.TB, dir string, m Manifest) *Store {
	t.Helper()
	s, err := Open(dir, m, Options{SyncEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func appendRows(t testing.TB, s *Store, rows ...int64) {
	t.Helper()
	if err := s.Append(results(rows...)); err != nil {
		t.Fatal(err)
	}
}

// read gives the rows of dir, each as result made it.
func read(t testing.TB, dir string, order Order) (rows []int64) {
	t.Helper()
	for r, err := range Results(dir, order) {
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(result(r.Index), *r); diff != "" {
			t.Fatalf("row %d (-want +got):\n%s", r.Index, diff)
		}
		rows = append(rows, r.Index)
	}
	return rows
}

// wantRows checks that dir has exactly rows 0 to n-1, each once.
func wantRows(t testing.TB, dir string, n int64) {
	t.Helper()
	if diff := cmp.Diff(upTo(n), read(t, dir, ByIndex)); diff != "" {
		t.Errorf("rows by index (-want +got):\n%s", diff)
	}
	stored := read(t, dir, Stored)
	slices.Sort(stored)
	if diff := cmp.Diff(upTo(n), stored); diff != "" {
		t.Errorf("rows as stored (-want +got):\n%s", diff)
	}
}

// TestRun writes rows as they come from an engine, in two starts, in every
// format, and reads them back: running, interrupted and complete.
func TestRun(t *testing.T) {
	const rows, partRows = 1000, 90
	for _, f := range Formats {
		for _, ordered := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s ordered=%t", f, ordered), func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "new", "run")
				m := manifest(f)
				m.PartRows, m.Ordered = partRows, ordered
				order := upTo(rows)
				rand.New(rand.NewPCG(1, 2)).Shuffle(rows, func(i, j int) { order[i], order[j] = order[j], order[i] })
				s := open(t, dir, m)
				for batch := range slices.Chunk(order[:500], 37) {
					appendRows(t, s, batch...)
				}
				if got := read(t, dir, ByIndex); len(got) != 500 || !slices.IsSorted(got) {
					t.Errorf("running: %d rows, in order %t", len(got), slices.IsSorted(got))
				}
				if err := s.Finish(Interrupted, 0); err != nil {
					t.Fatal(err)
				}
				s = open(t, dir, m)
				if n := s.DoneCount(); n != 500 || !s.Done(order[0]) || s.Done(order[500]) {
					t.Errorf("%d rows done after the first start", n)
				}
				if err := s.Append(results(order[600], order[0])); err == nil || !strings.Contains(err.Error(), "has a result already") {
					t.Errorf("a double row: %v", err)
				}
				for batch := range slices.Chunk(order[500:], 37) {
					appendRows(t, s, batch...)
				}
				if err := s.Finish(Complete, rows); err != nil {
					t.Fatal(err)
				}
				wantRows(t, dir, rows)
				got, err := ReadManifest(dir)
				if err != nil || got.State != Complete || got.Counts != (Counts{rows, rows, (rows + 5) / 6}) {
					t.Errorf("manifest %+v, %v", got, err)
				}
				c, err := list(dir, f)
				if err != nil || len(c.journals) != 0 || c.ordered != ordered || ordered == (len(c.parts) > 0) {
					t.Errorf("the folder holds %+v, %v", c, err)
				}
				if s := open(t, dir, m); s.DoneCount() != rows || s.Counts().Failed != (rows+5)/6 {
					t.Errorf("opened again: %+v", s.Counts())
				}
			})
		}
	}
}

// TestPartBytes bounds a part by its journal's size.
func TestPartBytes(t *testing.T) {
	m := manifest(JSONL)
	m.PartBytes = 2000
	dir := t.TempDir()
	s := open(t, dir, m)
	for row := range int64(60) {
		appendRows(t, s, row)
	}
	if err := s.Finish(Complete, 60); err != nil {
		t.Fatal(err)
	}
	c, _ := list(dir, JSONL)
	for _, n := range c.parts {
		if info, err := os.Stat(filepath.Join(dir, partName(n, JSONL))); err != nil || info.Size() > 4000 {
			t.Errorf("part %d: %v, %v", n, info, err)
		}
	}
	if len(c.parts) < 5 {
		t.Errorf("parts %v", c.parts)
	}
	wantRows(t, dir, 60)
}

func TestOpen_Errors(t *testing.T) {
	tests := []struct {
		name   string
		change func(m *Manifest)
		want   string
	}{
		{"input", func(m *Manifest) { m.Input = input.Fingerprint{{Name: "in.jsonl", SizeBytes: 11, HeadSHA256: "aa"}} }, "in.jsonl: had 10 bytes, has 11"},
		{"one file more", func(m *Manifest) { m.Input = append(m.Input, input.File{Name: "b"}) }, "b is new"},
		{"format", func(m *Manifest) { m.Format = Parquet }, "format: was \"jsonl\", is \"parquet\""},
		{"shard", func(m *Manifest) { m.Shard = &Shard{1, 4} }, `shard: was null, is {"index":1,"count":4}`},
		{"sampling", func(m *Manifest) { m.Sampling.MaxTokens = 5 }, `"max_tokens":5`},
		{"engine", func(m *Manifest) { m.Engine = []byte(`{"model":"other"}`) }, `engine: was {"model":"m"}, is {"model":"other"}`},
		{"no such format", func(m *Manifest) { m.Format = "csv" }, `output format "csv" is none of parquet, jsonl, openai`},
	}
	dir := t.TempDir()
	s := open(t, dir, manifest(JSONL))
	appendRows(t, s, 0)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := manifest(JSONL)
			tt.change(&m)
			_, err := Open(dir, m, Options{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
	m := manifest(JSONL)
	m.Engine = []byte("{\n\"model\":\"m\"}") // the same
	m.PartRows, m.Command = 7, []string{"other"}
	if s := open(t, dir, m); s.DoneCount() != 1 {
		t.Errorf("%d rows", s.DoneCount())
	}
}

func TestOpenResultsWithoutManifest(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, partName(0, JSONL)), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, manifest(JSONL), Options{}); err == nil || !strings.Contains(err.Error(), "holds results and no batch.json") {
		t.Errorf("error %v", err)
	}
	for _, err := range Results(t.TempDir(), Stored) {
		if err == nil || !strings.Contains(err.Error(), "is no output of a batch") {
			t.Errorf("error %v", err)
		}
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, manifest(JSONL))
	_, err := Open(dir, manifest(JSONL), Options{})
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), fmt.Sprintf("in use by process %d on ", os.Getpid())) {
		t.Errorf("error %v", err)
	}
	// With LockWait it waits, and says for whom, until the other is gone.
	second, err := Open(dir, manifest(JSONL), Options{LockWait: time.Minute, Warn: func(said string) {
		if !strings.Contains(said, "in use by process") || !strings.Contains(said, "waiting for it") {
			t.Errorf("said %q", said)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Finish(Complete, 0); err != nil {
		t.Error(err)
	}
}

func TestFinished(t *testing.T) {
	s := open(t, t.TempDir(), manifest(JSONL))
	if err := s.Finish(Complete, 0); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{"Append": s.Append(results(0)), "Strike": s.Strike([]int64{1}), "Seal": s.Seal(), "Finish": s.Finish(Complete, 0)} {
		if err == nil || !strings.Contains(err.Error(), "the output is finished") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestNumbersJSONHasNot: a result is kept whatever a model made of its numbers.
func TestNumbersJSONHasNot(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	r := batch.Result{Index: 0, Scores: map[string]float64{"a": nan, "b": inf, "c": -inf, "d": 1},
		Choices:        []batch.Choice{{LogLikelihood: -inf, Logprobs: []batch.TokenLogprob{{Logprob: -1}, {Logprob: -inf, Top: []batch.TokenLogprob{{Logprob: nan}}}}}},
		PromptLogprobs: []batch.TokenLogprob{{Logprob: -2, Top: []batch.TokenLogprob{{Logprob: -inf}}}}}
	want := batch.Result{Index: 0, Scores: map[string]float64{"b": math.MaxFloat64, "c": -math.MaxFloat64, "d": 1},
		Choices:        []batch.Choice{{LogLikelihood: -9999, Logprobs: []batch.TokenLogprob{{Logprob: -1}, {Logprob: -9999, Top: []batch.TokenLogprob{{Logprob: -9999}}}}}},
		PromptLogprobs: []batch.TokenLogprob{{Logprob: -2, Top: []batch.TokenLogprob{{Logprob: -9999}}}}}
	for _, f := range Formats {
		dir := t.TempDir()
		s := open(t, dir, manifest(f))
		if err := s.Append([]batch.Result{r}); err != nil {
			t.Fatal(err)
		}
		if err := s.Finish(Complete, 1); err != nil {
			t.Fatal(err)
		}
		for got, err := range Results(dir, Stored) {
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, *got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", f, diff)
			}
		}
	}
	if !math.IsInf(r.Choices[0].Logprobs[1].Logprob, -1) || len(r.Scores) != 4 {
		t.Errorf("the caller's result was changed: %+v", r)
	}
}
