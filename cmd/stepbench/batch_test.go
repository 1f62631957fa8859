package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stepbench/bench/batch"
	"stepbench/bench/batch/output"
	"stepbench/bench/batch/runner"
	"stepbench/engine"
)

// bareModel is a model folder as far as the checks before an engine look.
func bareModel(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "model")
	write(t, filepath.Join(dir, "config.json"), `{"architectures":["LlamaForCausalLM"],"num_hidden_layers":1,"hidden_size":8,"intermediate_size":8,
"num_attention_heads":1,"num_key_value_heads":1,"vocab_size":16,"max_position_embeddings":32,"stepbench_synthetic":true}`)
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Wrong input ends a batch before an engine, or anything, is started.
func TestBatchRefuses(t *testing.T) {
	model, dir := bareModel(t), t.TempDir()
	in, bad, other := filepath.Join(dir, "in.jsonl"), filepath.Join(dir, "bad.jsonl"), filepath.Join(dir, "other")
	write(t, in, `{"prompt":"a"}`+"\n")
	write(t, bad, `{"prompt":"a"}`+"\n"+`{"prompt":3}`+"\n")
	write(t, filepath.Join(other, "notes.txt"), "mine")
	out, done := filepath.Join(dir, "out"), filepath.Join(dir, "done")
	answered(t, done, nil, 1)
	// strict has a metric look at a row that it can score and at one that it cannot.
	strict := func(metric, good, bad string) []string {
		refs := filepath.Join(t.TempDir(), "refs.jsonl")
		write(t, refs, `{"prompt":"a","ref":`+good+"}\n"+`{"prompt":"b","ref":`+bad+"}\n")
		return []string{"--model", model, "--strict", "--metric", metric, "--reference-column", "ref", refs, out}
	}
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"no arguments", nil, "got 0 arguments"},
		{"no output", []string{"--model", model, in}, "an output directory"},
		{"no model", []string{in, out}, "no --model given"},
		{"missing file", []string{"--model", model, in + ".gone", out}, "in.jsonl.gone"},
		{"no such column", []string{"--model", model, "--prompt-column", "q", in, out}, "in.jsonl: no column q"},
		{"order", []string{"--model", model, "--order", "random", in, out}, `--order "random"`},
		{"output format", []string{"--model", model, "--output-format", "csv", in, out}, `--output-format "csv"`},
		{"metric", []string{"--model", model, "--metric", "bleu", in, out}, "--metric"},
		{"metric without a reference", []string{"--model", model, "--metric", "exact", in, out}, "--metric exact needs --reference-column"},
		{"choice without options", []string{"--model", model, "--metric", "choice", in, out}, "--metric choice needs --options-column"},
		{"temperature", []string{"--model", model, "--temperature", "-1", in, out}, "--temperature -1"},
		{"top-p", []string{"--model", model, "--top-p", "0", in, out}, "--top-p 0"},
		{"shard", []string{"--model", model, "--shard", "8/8", in, out}, "--shard"},
		{"shards without Ray", []string{"--model", model, "--shards", "2", in, out}, "--shards needs --ray"},
		{"Ray and a shard", []string{"--model", model, "--ray", "auto", "--shard", "0/2", in, out}, "--shard and --ray"},
		{"Ray and standard input", []string{"--model", model, "--ray", "auto", "-", out}, "--ray: standard input is not on the nodes"},
		{"Ray without a cluster", []string{"--model", model, "--ray", "local", in, out}, "--ray \"local\""},
		{"Ray into another run", []string{"--model", model, "--ray", "auto", in, done}, "was begun without --ray"},
		{"Ray into something else", []string{"--model", model, "--ray", "auto", in, other}, "holds notes.txt"},
		{"negative shards", []string{"--model", model, "--ray", "auto", "--shards=-1", in, out}, "--shards -1 is negative"},
		{"variant", []string{"--model", model, "--variant", "mine", "--variants", dir, in, out}, "--variant"},
		{"changed alone", []string{"--model", model, "--changed", "x.csv", in, out}, "--changed needs --compare"},
		{"compare with nothing", []string{"--model", model, "--compare", dir, in, out}, "is no output of a batch"},
		{"template", []string{"--model", model, "--chat-template", filepath.Join(dir, "none"), in, out}, "--chat-template"},
		{"output of something else", []string{"--model", model, in, other}, "holds notes.txt"},
		{"strict", []string{"--model", model, "--strict", bad, out}, "bad.jsonl:2: prompt"},
		{"strict numeric reference", strict("numeric", "7", `"many"`), "refs.jsonl:2: metric numeric: the row's reference has no number"},
		{"strict schema", strict("json-schema", `"{}"`, `"{\"type\":3}"`), "refs.jsonl:2: metric json-schema: the row's reference is no JSON schema"},
		{"strict without a reference", strict("exact", "7", "null"), "refs.jsonl:2: metric exact: the row has no reference"},
		{"input as output", []string{"--model", model, in, in}, "both input and output"},
		{"plain host", []string{"--model", model, "--host", "plain", in, out}, `--host "plain"`},
		{"merge of nothing", []string{"merge", dir, out}, "is no output of a batch"},
		{"compare of one", []string{"compare", dir}, "takes two directories, got 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(append([]string{"stepbench", "batch"}, tt.args...), &stdout, &stderr)
			if code != exitUsage || !strings.Contains(stderr.String(), tt.want) {
				t.Errorf("exit %d, stderr %q lacks %q", code, stderr.String(), tt.want)
			}
			if _, err := os.Stat(out); err == nil {
				t.Error("it left an output directory")
			}
		})
	}
}

// answered is a finished run whose rows have these scores.
func answered(t *testing.T, dir string, shard *output.Shard, scores ...float64) {
	t.Helper()
	store, err := output.Open(dir, output.Manifest{Format: output.JSONL, Shard: shard}, output.Options{SyncEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	rows := int64(0)
	for i, s := range scores {
		index := int64(i)
		if rows++; shard != nil {
			index = index*int64(shard.Count) + int64(shard.Index)
		}
		err := store.Append([]batch.Result{{
			Index: index, ID: string(rune('a' + index)), Scores: map[string]float64{"exact": s},
			Choices: []batch.Choice{{Text: "text", Finish: "stop"}},
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	if shard != nil {
		rows *= int64(shard.Count)
	}
	if err := store.Finish(output.Complete, rows); err != nil {
		t.Fatal(err)
	}
}

func TestBatchCompareAndMerge(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	ones, zeros := make([]float64, 20), make([]float64, 20)
	for i := range ones {
		ones[i] = 1
	}
	answered(t, at("good"), nil, ones...)
	answered(t, at("bad"), nil, zeros...)
	answered(t, at("s0"), &output.Shard{Index: 0, Count: 2}, 1, 1)
	answered(t, at("s1"), &output.Shard{Index: 1, Count: 2}, 0, 0)
	tests := []struct {
		name string
		args []string
		code int
		want string
	}{
		{"the same", []string{"compare", at("good"), at("good")}, exitOK, "exact"},
		{"worse", []string{"compare", at("good"), at("bad"), "--changed", at("changed.csv")}, exitRegression, "exact"},
		{"better, as JSON", []string{"compare", at("bad"), at("good"), "-o", "json"}, exitOK, `"verdict"`},
		{"a shard is missing", []string{"merge", at("s0"), at("half")}, exitUsage, "2 of 4 rows are missing"},
		{"merge", []string{"merge", at("s0"), at("s1"), at("all")}, exitOK, "4 rows"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(append([]string{"stepbench", "batch"}, tt.args...), &stdout, &stderr)
			if code != tt.code || !strings.Contains(stdout.String()+stderr.String(), tt.want) {
				t.Errorf("exit %d, want %d with %q\n%s%s", code, tt.code, tt.want, stdout.String(), stderr.String())
			}
		})
	}
	if text, err := os.ReadFile(at("changed.csv")); err != nil || bytes.Count(text, []byte("\n")) != 21 {
		t.Errorf("the changed rows %q, %v", text, err)
	}
	if m, err := output.ReadManifest(at("all")); err != nil || m.Counts.Done != 4 {
		t.Errorf("merged %+v, %v", m, err)
	}
}

func TestSameEngine(t *testing.T) {
	dir := t.TempDir()
	info := engine.Info{VLLMVersion: "0.26.0", DType: "float32", MaxModelLen: 512, Device: "a"}
	for range 2 {
		if err := sameEngine(dir, info); err != nil {
			t.Fatal(err)
		}
	}
	info.Device = "b" // may be another, of the same kind
	if err := sameEngine(dir, info); err != nil {
		t.Error(err)
	}
	info.VLLMVersion = "0.27.0"
	if err := sameEngine(dir, info); err == nil || !strings.Contains(err.Error(), "vLLM: was 0.26.0, is 0.27.0") {
		t.Errorf("error %v", err)
	}
}

func TestShardRows(t *testing.T) {
	for count := 1; count < 5; count++ {
		for all := range int64(12) {
			sum := int64(0)
			for index := range count {
				job := batchJob{}
				job.shard.Index, job.shard.Count = index, count
				want := int64(0)
				for i := range all {
					if job.shard.Has(i) {
						want++
					}
				}
				if got := job.shardRows(all); got != want {
					t.Errorf("shard %d/%d of %d rows: %d, want %d", index, count, all, got, want)
				}
				sum += want
			}
			if sum != all {
				t.Errorf("%d rows in all, want %d", sum, all)
			}
		}
	}
}

func TestBatchLine(t *testing.T) {
	tests := []struct {
		name string
		in   runner.Progress
		want string
	}{
		{"nothing known", runner.Progress{Done: 3, RowsPerS: 1}, "3 rows  1.00 rows/s  0.0 output tok/s"},
		{"estimate", runner.Progress{Done: 3, Rows: 100, RowsPerS: 1, OutputTokensPerS: 20, Left: 97 * time.Second}, "3 of about 100 rows  1.00 rows/s  20.0 output tok/s  ETA 1m37s"},
		{"exact", runner.Progress{Done: 3, Failed: 1, Rows: 4, Exact: true, RowsPerS: 2}, "3/4 rows (1 failed)  2.00 rows/s  0.0 output tok/s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, batchLine(tt.in)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
