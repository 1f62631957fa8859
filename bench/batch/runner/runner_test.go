package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stepbench/bench/batch"
	"stepbench/bench/batch/output"
	"stepbench/bench/batch/score"
	"stepbench/engine"
	"stepbench/engine/enginetest"
)

// letters is a tokenizer in this process: a byte is a token, after a 0 for the
// beginning. A text with "poison" kills it.
type letters struct{ calls atomic.Int64 }

func (l *letters) each(texts []string, first ...int32) (all []engine.Encoded, err error) {
	l.calls.Add(1)
	for _, text := range texts {
		switch {
		case strings.Contains(text, "poison"):
			return nil, &engine.WorkerError{During: "tokenising", What: "died"}
		case text == "refuse":
			all = append(all, engine.Encoded{Err: "this text is refused"})
			continue
		}
		tokens := append([]int32{}, first...)
		for _, b := range []byte(text) {
			tokens = append(tokens, int32(b))
		}
		all = append(all, engine.Encoded{Tokens: tokens})
	}
	return all, nil
}

func (l *letters) Encode(_ context.Context, texts []string) ([]engine.Encoded, error) {
	return l.each(texts, 0)
}

func (l *letters) EncodePlain(_ context.Context, texts []string) ([]engine.Encoded, error) {
	return l.each(texts)
}

func (l *letters) Chat(_ context.Context, messages []json.RawMessage) ([]engine.Encoded, error) {
	var texts []string
	for _, m := range messages {
		texts = append(texts, "chat:"+string(m))
	}
	return l.each(texts)
}

func (l *letters) Decode(_ context.Context, outputs []engine.Generated) (all []engine.Decoded, _ error) {
	for _, o := range outputs {
		all = append(all, engine.Decoded{Text: fmt.Sprint(o.Tokens)})
	}
	return all, nil
}

func (l *letters) TokenTexts(_ context.Context, ids []int32) (all []engine.Decoded, _ error) {
	for _, id := range ids {
		all = append(all, engine.Decoded{Text: fmt.Sprintf("<%d>", id)})
	}
	return all, nil
}

// list is an input in memory.
type list struct {
	rows []batch.Row
	at   int
	read atomic.Int64
}

func (l *list) Next() (*batch.Row, error) {
	if l.at == len(l.rows) {
		return nil, io.EOF
	}
	row := l.rows[l.at]
	row.Index, row.Place = int64(l.at), batch.Place{File: "in.jsonl", Line: int64(l.at) + 1}
	row.ID = fmt.Sprintf("row-%d", l.at)
	l.at++
	l.read.Add(1)
	return &row, nil
}

func (l *list) Progress() (int64, int64) { return l.read.Load(), int64(len(l.rows)) }

// bench is a job on fakes, and what is to be seen of it.
type bench struct {
	Job
	dir    string
	opened int
	slept  []time.Duration
	mu     sync.Mutex
	seen   map[string]int // prompts the engine was asked, by their text
}

// life is an engine of at most four sequences a step, which dies of prompts with
// "kill" and after some results if after > 0.
func life(after int) *enginetest.Mortal {
	return &enginetest.Mortal{
		Engine: enginetest.Engine{Fake: &enginetest.Fake{Clock: &enginetest.Clock{}, MaxSeqs: 4}},
		Kills:  func(r engine.Request) bool { return strings.Contains(text(r.Prompt), "kill") },
		After:  after,
	}
}

func text(tokens []int32) string {
	var b []byte
	for _, t := range tokens {
		if t > 0 {
			b = append(b, byte(t))
		}
	}
	return string(b)
}

func newBench(t *testing.T, rows []batch.Row, edit func(*bench)) *bench {
	t.Helper()
	b := &bench{dir: filepath.Join(t.TempDir(), "out"), seen: map[string]int{}}
	b.Job = Job{
		Rows: &list{rows: rows}, Texts: &letters{}, Callers: 3,
		Open: func(context.Context) (engine.Feeder, error) {
			b.opened++
			return life(0), nil
		},
		Sleep: func(_ context.Context, d time.Duration) { b.slept = append(b.slept, d) },
	}
	if edit != nil {
		edit(b)
	}
	b.open(t)
	return b
}

func (b *bench) open(t *testing.T) {
	t.Helper()
	store, err := output.Open(b.dir, output.Manifest{Format: output.JSONL}, output.Options{SyncEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	b.Store = store
}

// results are by index; each row has exactly one.
func (b *bench) results(t *testing.T) map[int64]*batch.Result {
	t.Helper()
	all := map[int64]*batch.Result{}
	for r, err := range output.Results(b.dir, output.Stored) {
		if err != nil {
			t.Fatal(err)
		}
		if all[r.Index] != nil {
			t.Errorf("row %d has two results", r.Index)
		}
		all[r.Index] = r
	}
	return all
}

func prompts(n int, of func(i int) string) (rows []batch.Row) {
	for i := range n {
		rows = append(rows, batch.Row{Text: of(i), Sampling: engine.Sampling{MaxTokens: 1 + i%5}})
	}
	return rows
}

func plain(i int) string { return fmt.Sprintf("prompt %d %s", i, strings.Repeat("x", i*7%50)) }

// failures are the codes of rows that failed.
func failures(results map[int64]*batch.Result) map[int64]string {
	codes := map[int64]string{}
	for i, r := range results {
		if r.Failure != nil {
			codes[i] = r.Failure.Code
		}
	}
	return codes
}

func TestRunGivesEveryRowItsAnswer(t *testing.T) {
	rows := prompts(1000, plain)
	for _, inputOrder := range []bool{false, true} {
		t.Run(fmt.Sprint("input order ", inputOrder), func(t *testing.T) {
			var last Progress
			b := newBench(t, rows, func(b *bench) {
				b.InputOrder = inputOrder
				b.Job.Progress = func(p Progress) { last = p }
			})
			if err := Run(t.Context(), b.Job); err != nil {
				t.Fatal(err)
			}
			results := b.results(t)
			for i, row := range rows {
				r := results[int64(i)]
				if r == nil || r.Failure != nil || len(r.Choices) != 1 {
					t.Fatalf("row %d: %+v", i, r)
				}
				var tokens []int32
				prompt := append([]int32{0}, []int32{}...)
				for _, c := range []byte(row.Text) {
					prompt = append(prompt, int32(c))
				}
				for k := range row.Sampling.MaxTokens {
					tokens = append(tokens, enginetest.Token(prompt, k))
				}
				c := r.Choices[0]
				if !slices.Equal(c.Tokens, tokens) || c.Text != fmt.Sprint(tokens) || c.Finish != "length" || int(r.PromptTokens) != len(prompt) {
					t.Fatalf("row %d: %+v, want tokens %d", i, r, tokens)
				}
			}
			if last.Done != 1000 || last.Rows != 1000 || !last.Exact || last.Failed != 0 {
				t.Errorf("progress %+v", last)
			}
			m, err := output.ReadManifest(b.dir)
			if err != nil || m.State != output.Complete || m.Counts.InputRows != 1000 {
				t.Errorf("manifest %+v, %v", m, err)
			}
		})
	}
}

// What is special about a row, one at a time among plain ones.
func TestRowsOfAllKinds(t *testing.T) {
	seed := int64(7)
	one := 1
	sampling := engine.Sampling{MaxTokens: 2}
	rows := []batch.Row{
		{Text: "plain", Sampling: sampling},
		{Err: &batch.RowError{Place: batch.Place{File: "in.jsonl", Line: 2}, Field: "prompt", Message: "is missing"}},
		{Text: "refuse", Sampling: sampling},
		{Text: strings.Repeat("long", 1024), Sampling: sampling},
		{Messages: json.RawMessage(`[{"role":"user","content":"hi"}]`)},
		{Tokens: []int32{5, 6}, Sampling: sampling},
		{Text: "poison", Sampling: sampling},
		{Text: "several", N: 3, Sampling: engine.Sampling{MaxTokens: 1, Temperature: 1, Seed: &seed}},
		{Text: "choice ", Options: []string{"a", "bc"}, Answer: 1},
		{Text: "logprobs", Sampling: engine.Sampling{MaxTokens: 2, Logprobs: &one}},
		{Text: "prompt logprobs", Sampling: engine.Sampling{MaxTokens: 1, PromptLogprobs: &one}},
		{Text: "default"},
		{Text: "engine says no", Sampling: sampling},
		{Tokens: []int32{}, Sampling: sampling},
	}
	metrics, err := score.ParseMetrics("perplexity,choice")
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, rows, func(b *bench) {
		b.Metrics = metrics
		b.Open = func(context.Context) (engine.Feeder, error) {
			l := life(0)
			l.Fake.Refuse = func(r engine.Request) error {
				if r.Sampling.Seed != nil {
					b.mu.Lock()
					b.seen[fmt.Sprint("seed ", *r.Sampling.Seed)]++
					b.mu.Unlock()
				}
				if text(r.Prompt) == "engine says no" {
					return errors.New("max_logprobs")
				}
				return nil
			}
			return l, nil
		}
	})
	if err := Run(t.Context(), b.Job); err != nil {
		t.Fatal(err)
	}
	results := b.results(t)
	want := map[int64]string{1: codeInvalid, 2: codeInvalid, 3: codeTooLong, 6: codeInvalid, 12: codeRefused, 13: codeInvalid}
	if diff := cmp.Diff(want, failures(results)); diff != "" {
		t.Errorf("failures (-want +got)\n%s", diff)
	}
	for i, says := range map[int64]string{1: "in.jsonl:2: prompt: is missing", 2: "in.jsonl:3", 3: "4097 tokens", 12: "max_logprobs"} {
		if r := results[i]; r.Failure == nil || !strings.Contains(r.Failure.Message, says) {
			t.Errorf("row %d: %+v lacks %q", i, r.Failure, says)
		}
	}
	if diff := cmp.Diff(map[string]int{"seed 7": 1, "seed 8": 1, "seed 9": 1}, b.seen); diff != "" {
		t.Errorf("seeds (-want +got)\n%s", diff)
	}
	if t.Failed() {
		return
	}
	if r := results[4]; r.Endpoint != chatEndpoint || int(r.PromptTokens)+int(r.Choices[0].OutputTokens) != 4096 {
		t.Errorf("a chat may fill the context: %s, %d and %d tokens", r.Endpoint, r.PromptTokens, r.Choices[0].OutputTokens)
	}
	if r := results[11]; r.Choices[0].OutputTokens != completionTokens {
		t.Errorf("a completion has %d tokens by default", r.Choices[0].OutputTokens)
	}
	if n := len(results[7].Choices); n != 3 {
		t.Errorf("%d completions, want 3", n)
	}
	choice := results[8]
	a, bc := float64(enginetest.Logprob('a')), float64(enginetest.Logprob('b')+enginetest.Logprob('c'))
	if len(choice.Choices) != 2 || choice.Choices[0].LogLikelihood != a || choice.Choices[1].LogLikelihood != bc || choice.Choices[1].Finish != finishOption || choice.Choices[1].Text != "bc" {
		t.Errorf("options %+v, want log-likelihoods %v and %v", choice.Choices, a, bc)
	}
	if _, ok := choice.Scores["acc"]; !ok && len(choice.Scores) == 0 {
		t.Errorf("a multiple choice has no score: %+v", choice)
	}
	l := results[9].Choices[0].Logprobs
	if len(l) != 2 || l[0].Text != fmt.Sprintf("<%d>", l[0].Token) || len(l[0].Top) != 1 || l[0].Top[0].Token != 0 {
		t.Errorf("logprobs %+v", l)
	}
	if got := len(results[10].PromptLogprobs); got != len("prompt logprobs") {
		t.Errorf("%d prompt logprobs", got)
	}
	if r := results[0]; r.PromptLogprobs != nil || r.Scores[score.Perplexity] <= 1 {
		t.Errorf("perplexity %v, with prompt logprobs %v that nobody asked for", r.Scores, r.PromptLogprobs)
	}
}

// A row that kills its engine is found, whatever stands beside it, and each of
// the others has exactly one result.
func TestKillersAreQuarantined(t *testing.T) {
	tests := []struct {
		name    string
		rows    int
		killers []int64
	}{
		{"one of many", 600, []int64{300}},
		{"the first", 40, []int64{0}},
		{"alone", 1, []int64{0}},
		{"several apart", 600, []int64{3, 250, 599}},
		{"neighbours", 600, []int64{100, 101, 102}},
		{"all of few", 3, []int64{0, 1, 2}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, prompts(tt.rows, func(i int) string {
				if slices.Contains(tt.killers, int64(i)) {
					return fmt.Sprintf("kill %d", i)
				}
				return plain(i)
			}), func(b *bench) { b.Job.Log = func(line string) { t.Log(line) } })
			if err := Run(t.Context(), b.Job); err != nil {
				t.Fatal(err)
			}
			results := b.results(t)
			if len(results) != tt.rows {
				t.Errorf("%d results, want %d", len(results), tt.rows)
			}
			want := map[int64]string{}
			for _, k := range tt.killers {
				want[k] = codeQuarantined
				if r := results[k]; r != nil && r.Failure != nil && !strings.Contains(r.Failure.Message, "the fake was told to die") {
					t.Errorf("row %d lacks the last words: %s", k, r.Failure.Message)
				}
			}
			if diff := cmp.Diff(want, failures(results)); diff != "" {
				t.Errorf("failures (-want +got)\n%s", diff)
			}
			t.Logf("%d engines, waits %v", b.opened, b.slept)
		})
	}
}

// Engines that die by themselves take nothing with them.
func TestDeathsLoseNothing(t *testing.T) {
	rows := prompts(500, plain)
	b := newBench(t, rows, nil)
	b.Open = func(context.Context) (engine.Feeder, error) {
		b.opened++
		if b.opened < 8 {
			return life(11 * b.opened), nil
		}
		return life(0), nil
	}
	if err := Run(t.Context(), b.Job); err != nil {
		t.Fatal(err)
	}
	if results := b.results(t); len(results) != len(rows) || len(failures(results)) > 0 {
		t.Errorf("%d results, failures %v", len(results), failures(results))
	}
	if b.opened != 8 || slices.ContainsFunc(b.slept, func(d time.Duration) bool { return d != time.Second }) {
		t.Errorf("%d engines, waits %v, want 8 and a second each", b.opened, b.slept)
	}
}

// A step that raises an exception in a living worker is like a death.
func TestExceptionInAStep(t *testing.T) {
	b := newBench(t, prompts(50, plain), nil)
	b.Open = func(context.Context) (engine.Feeder, error) {
		b.opened++
		l := life(0)
		if b.opened == 1 {
			l.Fake.StepErr = func(index int64) error {
				if index == 6 {
					return errors.New("RuntimeError: the kernel broke")
				}
				return nil
			}
		}
		return l, nil
	}
	if err := Run(t.Context(), b.Job); err != nil {
		t.Fatal(err)
	}
	if results := b.results(t); len(results) != 50 || len(failures(results)) > 0 || b.opened != 2 {
		t.Errorf("%d results, failures %v, %d engines", len(results), failures(results), b.opened)
	}
}

// An engine that always dies ends the run, and no row is blamed for it.
func TestHopeless(t *testing.T) {
	for _, rows := range []int{300, 4} {
		b := newBench(t, prompts(rows, func(i int) string { return fmt.Sprint("kill ", i) }), func(b *bench) { b.Deaths = 4 })
		err := Run(t.Context(), b.Job)
		var last *engine.WorkerError
		if !errors.Is(err, ErrHopeless) || !errors.As(err, &last) {
			t.Errorf("error %v", err)
		}
		if results := b.results(t); len(results) != 0 {
			t.Errorf("%d results of a broken engine", len(results))
		}
		if diff := cmp.Diff([]time.Duration{1 * time.Second, 2 * time.Second, 4 * time.Second}, b.slept); diff != "" {
			t.Errorf("waits (-want +got)\n%s", diff)
		}
	}
}

func TestNoEngine(t *testing.T) {
	b := newBench(t, prompts(5, plain), func(b *bench) {
		b.Open = func(context.Context) (engine.Feeder, error) { return nil, engine.ErrEnvironment }
	})
	if err := Run(t.Context(), b.Job); !errors.Is(err, engine.ErrEnvironment) || len(b.slept) > 0 {
		t.Errorf("%v after %v", err, b.slept)
	}
}

// Interrupted again and again, and with an engine that dies now and then, a run
// still gives every row one result.
func TestResumeAfterInterruptions(t *testing.T) {
	rows := prompts(700, func(i int) string {
		if i == 400 {
			return "kill"
		}
		return plain(i)
	})
	stopped := errors.New("stopped")
	b := newBench(t, rows, nil)
	starts := 0
	for ; starts < 50; starts++ {
		if starts > 0 {
			b.open(t)
		}
		b.Rows = &list{rows: rows}
		ctx, stop := context.WithCancelCause(t.Context())
		steps := 0 // seen with results; how many rows are on disk by then depends on the machine
		b.Job.Progress = func(Progress) {
			if steps++; steps == 4 {
				stop(stopped)
			}
		}
		err := Run(ctx, b.Job)
		stop(nil)
		if err == nil {
			break
		}
		if !errors.Is(err, stopped) {
			t.Fatal(err)
		}
		if m, err := output.ReadManifest(b.dir); err != nil || m.State != output.Interrupted {
			t.Fatalf("state %s, %v", m.State, err)
		}
	}
	results := b.results(t)
	t.Logf("interrupted %d times", starts)
	if len(results) != len(rows) || starts < 2 {
		t.Errorf("%d results after %d starts", len(results), starts)
	}
	if diff := cmp.Diff(map[int64]string{400: codeQuarantined}, failures(results)); diff != "" {
		t.Errorf("failures (-want +got)\n%s", diff)
	}
}

// Shards share the rows, and the input's end is known to each.
func TestShards(t *testing.T) {
	rows := prompts(100, plain)
	total := 0
	for shard := range int64(3) {
		b := newBench(t, rows, func(b *bench) { b.Mine = func(i int64) bool { return i%3 == shard } })
		if err := Run(t.Context(), b.Job); err != nil {
			t.Fatal(err)
		}
		for i := range b.results(t) {
			if total++; i%3 != shard {
				t.Errorf("shard %d has row %d", shard, i)
			}
		}
		if m, _ := output.ReadManifest(b.dir); m.Counts.InputRows != 100 {
			t.Errorf("input rows %d", m.Counts.InputRows)
		}
	}
	if total != 100 {
		t.Errorf("%d results", total)
	}
}

// broken is an input whose end cannot be read.
type broken struct{ list }

func (b *broken) Next() (*batch.Row, error) {
	row, err := b.list.Next()
	if err == io.EOF {
		err = errors.New("in.jsonl.gz: unexpected end")
	}
	return row, err
}

func TestBrokenInput(t *testing.T) {
	b := newBench(t, nil, nil)
	b.Rows = &broken{list{rows: prompts(900, plain)}}
	err := Run(t.Context(), b.Job)
	if err == nil || !strings.Contains(err.Error(), "unexpected end") {
		t.Errorf("error %v", err)
	}
	if m, _ := output.ReadManifest(b.dir); m.State != output.Interrupted || m.Counts.Done == 0 {
		t.Errorf("manifest %+v", m)
	}
}

// With nobody to read them, all texts killing the tokenizer is not the rows' fault.
func TestBrokenTokenizer(t *testing.T) {
	b := newBench(t, prompts(70, func(int) string { return "poison" }), nil)
	var died *engine.WorkerError
	if err := Run(t.Context(), b.Job); !errors.As(err, &died) {
		t.Errorf("error %v", err)
	}
}
