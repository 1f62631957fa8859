//go:build integration && slow

package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"

	"stepbench/bench/batch"
	"stepbench/bench/batch/score"
	"stepbench/bridge"
)

const (
	formChats  = 300
	formTokens = 8
)

// scoredRow is a text that is answered and scored.
type scoredRow struct {
	Prompt    string `json:"prompt"`
	Reference string `json:"reference"`
	Group     string `json:"group"`
}

// choiceRow is a multiple choice.
type choiceRow struct {
	Prompt  string   `json:"prompt"`
	Options []string `json:"options"`
	Answer  int      `json:"answer"`
}

// asked goes to testdata/reference.py, vllmSays comes back.
type asked struct {
	Chats     [][]chatMessage `json:"chats"`
	Rows      []scoredRow     `json:"rows"`
	Choices   []choiceRow     `json:"choices"`
	MaxTokens int             `json:"max_tokens"`
	Stop      []string        `json:"stop"`
	Pattern   string          `json:"pattern"`
	Schema    json.RawMessage `json:"schema"`
}

type vllmSays struct {
	Chat     []string  `json:"chat"`     // LLM.chat
	Generate []string  `json:"generate"` // LLM.generate of Prompts
	Prompts  []string  `json:"prompts"`  // the chats under the template
	Tokens   [][]int32 `json:"tokens"`   // of Prompts
	Rows     []struct {
		Text   string             `json:"text"`
		Scores map[string]float64 `json:"scores"`
	} `json:"rows"`
	Choices []struct {
		LogLikelihoods []float64          `json:"log_likelihoods"`
		Scores         map[string]float64 `json:"scores"`
	} `json:"choices"`
}

func formQuestions() asked {
	q := asked{MaxTokens: formTokens, Stop: []string{"\n", ","}, Pattern: `\d`, Schema: json.RawMessage(`{"type":"integer","minimum":5}`)}
	for i := range formChats {
		chat := chats()[i%chatRows]
		chat[1].Content = fmt.Sprintf("%s Give me %d words.", chat[1].Content, i+2)
		q.Chats = append(q.Chats, chat)
	}
	q.Rows = []scoredRow{
		{"1, 2, 3, 4,", "5", "numbers"},                                    // " 5"
		{"2, 4, 6, 8,", "10", "numbers"},                                   // " 10"
		{"5, 4, 3,", "1", "numbers"},                                       // " 2"
		{"10, 20, 30,", "40", "numbers"},                                   // " 40"
		{"Monday, Tuesday, Wednesday,", "Thursday", "words"},               // " and Thursday) to create a 3"
		{"January, February, March,", "april!", "words"},                   // " and April"
		{"The capital of France is", "Paris", "words"},                     // " Paris."
		{"The capital of Germany is", "berlin", "words"},                   // " Berlin."
		{"The opposite of hot is", "cold", "words"},                        // " cold."
		{"A, B, C, D,", "E", "words"},                                      // " E"
		{"The sun is a", "A star", "words"},                                // " powerful symbol of hope and resilience. It"
		{"Water is made of hydrogen and", "oxygen", "words"},               // " helium"
		{"There are 7 days in a week and 12 months in a", "year", "words"}, // " year."
		{"In the year", "1999", "numbers"},                                 // " 2023"
	}
	q.Choices = []choiceRow{
		{"The sky is", []string{" blue", " made of green cheese"}, 0},
		{"Snow is", []string{" white", " black as coal"}, 0}, // the long one is likelier by character
		{"Two plus two is", []string{" four", " a very large elephant that sings"}, 0},
		{"The capital of France is", []string{" Berlin", " Paris", " Rome"}, 1},
		{"A dog says", []string{" meow", " woof"}, 0}, // wrong on purpose
	}
	return q
}

// byHand are the sums of the scores of the answers that formQuestions notes, in
// all rows and in the two groups, each counted by reading them.
var byHand = map[string]struct{ all, numbers, words, scored float64 }{
	"exact":       {4, 3, 1, 14},
	"normalized":  {8, 3, 5, 14},
	"contains":    {8, 3, 5, 14},
	"regex":       {6, 5, 1, 14},
	"json-schema": {4, 4, 0, 14},
	"numeric":     {3, 3, 0, 5},
	"choice":      {4, 0, 0, 5},
	"choice-norm": {3, 0, 0, 5},
}

// The same 300 chats in every form of input, with every form of output, have the
// texts of vllm.LLM; every metric gives what plain Python makes of vLLM's own
// outputs and logprobs.
func TestBatchFormsWithRealVLLM(t *testing.T) {
	b := &formBatches{t: t, program: buildStepbench(t), dir: t.TempDir(), model: abs("../../models/smollm2-135m-instruct")}
	q := formQuestions()
	want := b.plainPython(q)
	if !reflect.DeepEqual(want.Chat, want.Generate) {
		t.Error("LLM.chat and LLM.generate of the same prompts differ: nothing can equal both")
	}
	t.Run("openai", func(t *testing.T) { b.openAI(t, q, want) })
	t.Run("messages", func(t *testing.T) { b.messages(t, q, want) })
	t.Run("prompts", func(t *testing.T) { b.prompts(t, want) })
	t.Run("tokens", func(t *testing.T) { b.tokens(t, want) })
	t.Run("scores", func(t *testing.T) { b.scores(t, q, want) })
	t.Run("choices", func(t *testing.T) { b.choices(t, q, want) })
}

type formBatches struct {
	t                   *testing.T
	program, dir, model string
}

func (b *formBatches) plainPython(q asked) (a vllmSays) {
	b.t.Helper()
	python, err := bridge.FindPython("")
	if err != nil {
		b.t.Fatal(err)
	}
	source, target := b.path("asked.json"), b.path("answered.json")
	writeFile(b.t, source, marshal(b.t, q))
	cmd := exec.Command(python.Executable, "testdata/reference.py", b.model, source, target)
	cmd.Env = append(os.Environ(), "VLLM_CPU_KVCACHE_SPACE=1", "VLLM_ENABLE_V1_MULTIPROCESSING=0")
	if log, err := cmd.CombinedOutput(); err != nil {
		b.t.Fatalf("plain Python: %v\n%s", err, log)
	}
	text, err := os.ReadFile(target)
	if err == nil {
		err = json.Unmarshal(text, &a)
	}
	if err != nil || len(a.Chat) != formChats || len(a.Rows) != len(q.Rows) || len(a.Choices) != len(q.Choices) {
		b.t.Fatalf("plain Python wrote %.300q: %v", text, err)
	}
	return a
}

func (b *formBatches) path(name string) string { return filepath.Join(b.dir, name) }

// run answers inputs and gives what it wrote to stdout.
func (b *formBatches) run(t *testing.T, stdin io.Reader, out string, args ...string) []byte {
	t.Helper()
	args = append([]string{"batch", "--model", b.model, "--dtype", "float32", "--eager", "--max-model-len", "512", "--max-num-seqs", "64",
		"--kv-cache-mib", "512", "--max-tokens", fmt.Sprint(formTokens), "--variant", "stock", "-o", "json"}, append(args, out)...)
	cmd := exec.Command(b.program, args...)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = stdin, &stderr
	stdout, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, stderr.Bytes())
	}
	return stdout
}

// openAI goes through OpenAI Batch files, as they are, under gzip and from
// standard input, to OpenAI Batch.
func (b *formBatches) openAI(t *testing.T, q asked, want vllmSays) {
	text := func(form string) []byte {
		return lines(t, formChats, func(i int) any {
			return map[string]any{
				"custom_id": fmt.Sprintf("%s-%d", form, i), "method": "POST", "url": "/v1/chat/completions",
				"body": map[string]any{"model": "m", "messages": q.Chats[i], "max_tokens": formTokens},
			}
		})
	}
	writeFile(t, b.path("openai.jsonl"), text("file"))
	writeFile(t, b.path("openai.jsonl.gz"), zipped(t, gzip.NewWriter, text("gz")))
	out := b.path("openai")
	b.run(t, bytes.NewReader(text("stdin")), out, "--output-format", "openai", b.path("openai.jsonl"), b.path("openai.jsonl.gz"), "-")
	sameTexts(t, openAITexts(t, out), want.Chat, "file", "gz", "stdin")
}

// messages goes through JSON lines in several files of a glob, zstd and Parquet
// to Parquet.
func (b *formBatches) messages(t *testing.T, q asked, want vllmSays) {
	type row struct {
		ID   string        `json:"id" parquet:"id"`
		Chat []chatMessage `json:"chat" parquet:"chat,list"`
	}
	text := func(form string) []byte {
		return lines(t, formChats, func(i int) any { return row{fmt.Sprintf("%s-%d", form, i), q.Chats[i]} })
	}
	writeFile(t, b.path("plain.jsonl.zst"), zipped(t, newZstd, text("zst")))
	for part, lines := range cut(text("glob"), 3) {
		writeFile(t, b.path(fmt.Sprintf("glob-%d.jsonl", part)), lines)
	}
	rows := make([]row, formChats)
	for i := range rows {
		rows[i] = row{fmt.Sprintf("parquet-%d", i), q.Chats[i]}
	}
	if err := parquet.WriteFile(b.path("chats.parquet"), rows); err != nil {
		t.Fatal(err)
	}
	out := b.path("messages")
	b.run(t, nil, out, "--messages-column", "chat", b.path("glob-*.jsonl"), b.path("plain.jsonl.zst"), b.path("chats.parquet"))

	texts := map[string]string{}
	for _, part := range parts(t, out, "parquet") {
		rows, err := parquet.ReadFile[struct {
			ID   string `parquet:"id"`
			Text string `parquet:"text,optional"`
		}](part)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			texts[r.ID] = r.Text
		}
	}
	sameTexts(t, texts, want.Chat, "glob", "zst", "parquet")
}

// prompts goes through JSON lines and Parquet to JSON lines.
func (b *formBatches) prompts(t *testing.T, want vllmSays) {
	type row struct {
		ID       string `json:"id" parquet:"id"`
		Question string `json:"question" parquet:"question"`
	}
	writeFile(t, b.path("prompts.jsonl"), lines(t, formChats, func(i int) any { return row{fmt.Sprintf("jsonl-%d", i), want.Prompts[i]} }))
	rows := make([]row, formChats)
	for i := range rows {
		rows[i] = row{fmt.Sprintf("parquet-%d", i), want.Prompts[i]}
	}
	if err := parquet.WriteFile(b.path("prompts.parquet"), rows); err != nil {
		t.Fatal(err)
	}
	out := b.path("prompts")
	b.run(t, nil, out, "--prompt-column", "question", "--output-format", "jsonl", b.path("prompts.jsonl"), b.path("prompts.parquet"))

	texts := map[string]string{}
	for _, part := range parts(t, out, "jsonl") {
		for r := range decoded[batch.Result](t, part) {
			texts[r.ID] = r.Choices[0].Text
		}
	}
	sameTexts(t, texts, want.Generate, "jsonl", "parquet")
}

// tokens goes through JSON lines and Parquet to OpenAI Batch.
func (b *formBatches) tokens(t *testing.T, want vllmSays) {
	type row struct {
		ID  string  `json:"id" parquet:"id"`
		IDs []int32 `json:"ids" parquet:"ids,list"`
	}
	writeFile(t, b.path("tokens.jsonl"), lines(t, formChats, func(i int) any { return row{fmt.Sprintf("jsonl-%d", i), want.Tokens[i]} }))
	rows := make([]row, formChats)
	for i := range rows {
		rows[i] = row{fmt.Sprintf("parquet-%d", i), want.Tokens[i]}
	}
	if err := parquet.WriteFile(b.path("tokens.parquet"), rows); err != nil {
		t.Fatal(err)
	}
	out := b.path("tokens")
	b.run(t, nil, out, "--tokens-column", "ids", "--output-format", "openai", b.path("tokens.jsonl"), b.path("tokens.parquet"))

	sameTexts(t, openAITexts(t, out), want.Generate, "jsonl", "parquet")
}

// openAITexts are those of chats and of completions.
func openAITexts(t *testing.T, out string) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, part := range parts(t, out, "jsonl") {
		for r := range decoded[struct {
			ID       string `json:"custom_id"`
			Response struct {
				Body struct {
					Choices []struct {
						Text    string
						Message struct{ Content string }
					}
				}
			}
		}](t, part) {
			for _, c := range r.Response.Body.Choices {
				texts[r.ID] = c.Text + c.Message.Content
			}
		}
	}
	return texts
}

func (b *formBatches) scores(t *testing.T, q asked, want vllmSays) {
	writeFile(t, b.path("scored.jsonl"), lines(t, len(q.Rows), func(i int) any { return q.Rows[i] }))
	writeFile(t, b.path("schema.json"), q.Schema)
	out := b.path("scored")
	args := []string{"--reference-column", "reference", "--group-column", "group", "--output-format", "jsonl"}
	for _, m := range []string{"exact", "normalized", "contains", "numeric", "regex:" + q.Pattern, "json-schema:" + b.path("schema.json"), "perplexity"} {
		args = append(args, "--metric", m)
	}
	for _, s := range q.Stop {
		args = append(args, "--stop", s)
	}
	summary := summaryOf(t, b.run(t, nil, out, append(args, b.path("scored.jsonl"))...))

	results := resultsOf(t, out)
	surprise, tokens := map[string]float64{}, map[string]float64{}
	for i, w := range want.Rows {
		r := results[int64(i)]
		if r == nil || r.Failure != nil || r.Choices[0].Text != w.Text {
			t.Fatalf("row %d: %+v, LLM.generate says %q", i, r, w.Text)
		}
		sameScores(t, fmt.Sprintf("%q", q.Rows[i].Prompt), r.Scores, w.Scores)
		n := float64(r.PromptTokens - 1)
		for _, group := range []string{"", q.Rows[i].Group} {
			surprise[group] += n * math.Log(w.Scores["perplexity"])
			tokens[group] += n
		}
	}
	groups := map[string][]score.MetricSummary{"": summary.Metrics}
	for _, g := range summary.Groups {
		groups[g.Group] = g.Metrics
	}
	if len(groups) != 3 {
		t.Errorf("groups %+v, want numbers and words", summary.Groups)
	}
	for group, metrics := range groups {
		if len(metrics) != 7 {
			t.Errorf("group %q has %d metrics, want 7", group, len(metrics))
		}
		for _, m := range metrics {
			hand := byHand[m.Metric]
			sum := map[string]float64{"": hand.all, "numbers": hand.numbers, "words": hand.words}[group]
			switch {
			case m.Metric == "perplexity":
				near(t, group+" perplexity", m.OfAnswered.Value, math.Exp(surprise[group]/tokens[group]))
			case m.Metric == "numeric" && group == "words":
				if m.Scored != 0 || m.OfAnswered != nil {
					t.Errorf("words have a numeric score without a number: %+v", m)
				}
			default:
				near(t, group+" "+m.Metric, m.OfAnswered.Value*float64(m.Scored), sum)
			}
			if group == "" && m.Metric != "perplexity" && float64(m.Scored) != hand.scored {
				t.Errorf("%s: %d rows scored, want %g", m.Metric, m.Scored, hand.scored)
			}
		}
	}
}

func (b *formBatches) choices(t *testing.T, q asked, want vllmSays) {
	writeFile(t, b.path("choices.jsonl"), lines(t, len(q.Choices), func(i int) any { return q.Choices[i] }))
	out := b.path("choices")
	summary := summaryOf(t, b.run(t, nil, out, "--options-column", "options", "--answer-column", "answer", "--metric", "choice", "--metric", "choice-norm",
		b.path("choices.jsonl")))
	results := resultsOf(t, out)
	for i, w := range want.Choices {
		r := results[int64(i)]
		if r == nil || r.Failure != nil || len(r.Choices) != len(w.LogLikelihoods) {
			t.Fatalf("row %d: %+v", i, r)
		}
		for k, l := range w.LogLikelihoods {
			near(t, fmt.Sprintf("%q%s", q.Choices[i].Prompt, q.Choices[i].Options[k]), r.Choices[k].LogLikelihood, l)
		}
		sameScores(t, fmt.Sprintf("%q", q.Choices[i].Prompt), r.Scores, w.Scores)
	}
	for _, m := range summary.Metrics {
		near(t, m.Metric, m.OfAnswered.Value*float64(m.Scored), byHand[m.Metric].all)
	}
	if len(summary.Metrics) != 2 {
		t.Errorf("metrics %+v, want choice and choice-norm", summary.Metrics)
	}
}

func sameTexts(t *testing.T, texts map[string]string, want []string, forms ...string) {
	t.Helper()
	if len(texts) != len(forms)*len(want) {
		t.Errorf("%d rows, want %d", len(texts), len(forms)*len(want))
	}
	for _, form := range forms {
		differ, first := 0, ""
		for i, w := range want {
			id := fmt.Sprintf("%s-%d", form, i)
			got, ok := texts[id]
			if ok && got == w {
				continue
			}
			if differ++; first == "" {
				first = fmt.Sprintf("%s: %q, vLLM says %q", id, got, w)
			}
		}
		if differ > 0 {
			t.Errorf("%s: %d of %d texts differ, first %s", form, differ, len(want), first)
		}
	}
}

func sameScores(t *testing.T, row string, got, want map[string]float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: scores %v, want %v", row, got, want)
	}
	for name, w := range want {
		near(t, row+" "+name, got[name], w)
	}
}

// near allows for the order in which a batch adds numbers up.
func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 1e-3*math.Abs(want)) {
		t.Errorf("%s: %.7g, want %.7g", what, got, want)
	}
}

func summaryOf(t *testing.T, stdout []byte) (s score.Summary) {
	t.Helper()
	if err := json.Unmarshal(stdout, &s); err != nil {
		t.Fatalf("summary: %v in %q", err, stdout)
	}
	return s
}

// parts are the files of results, of which there is at least one.
func parts(t *testing.T, out, extension string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(out, "part-*."+extension))
	if err != nil || len(found) == 0 {
		t.Fatalf("%s has no parts in %s: %v", out, extension, err)
	}
	return found
}

// decoded are the JSON values of a file.
func decoded[T any](t *testing.T, path string) func(func(T) bool) {
	return func(yield func(T) bool) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for d := json.NewDecoder(bytes.NewReader(text)); ; {
			var v T
			switch err := d.Decode(&v); {
			case errors.Is(err, io.EOF):
				return
			case err != nil:
				t.Fatalf("%s: %v", path, err)
			case !yield(v):
				return
			}
		}
	}
}

func lines(t *testing.T, n int, row func(i int) any) []byte {
	t.Helper()
	var text bytes.Buffer
	for i := range n {
		text.Write(append(marshal(t, row(i)), '\n'))
	}
	return text.Bytes()
}

// cut divides a text into parts of whole lines.
func cut(text []byte, n int) (all [][]byte) {
	rows := bytes.SplitAfter(text, []byte("\n"))
	for i := range n {
		all = append(all, bytes.Join(rows[i*len(rows)/n:(i+1)*len(rows)/n], nil))
	}
	return all
}

func zipped[W io.WriteCloser](t *testing.T, open func(io.Writer) W, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := open(&b)
	_, err1 := w.Write(text)
	if err := errors.Join(err1, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func newZstd(w io.Writer) *zstd.Encoder {
	z, err := zstd.NewWriter(w)
	if err != nil {
		panic(err) // of options, of which there are none
	}
	return z
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func writeFile(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
}
