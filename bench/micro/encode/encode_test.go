package encode

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
	"golang.org/x/perf/benchfmt"

	"stepbench/bench/micro"
	"stepbench/bench/micro/microtest"
	"stepbench/engine"
	"stepbench/internal/golden"
)

// sample is a run with everything a format has to show: all phases, a cell that
// no axes describe, an INVALID one, discarded steps and refused cells.
func sample(t testing.TB) *micro.Results {
	t.Helper()
	cost := microtest.DefaultCost()
	cost.Noise = 0.01
	p := microtest.New(cost, 1)
	p.About.VLLMVersion, p.About.Device, p.About.AttentionBackend = "0.26.0", "Fake GPU", "FLASH_ATTN"
	p.About.GraphMode, p.About.MaxGraphTokens = "FULL_AND_PIECEWISE", 512
	steps := 0
	p.Alter = func(_ engine.Op, s *engine.Step) {
		s.GraphMode, s.PaddedTokens = engine.GraphFull, (s.GenTokens+7)/8*8
		if s.CtxTokens > 0 {
			s.GraphMode, s.PaddedTokens = engine.GraphPiecewise, s.CtxTokens+s.GenTokens
		}
		if steps++; steps%97 == 0 || s.CtxReqs == 2 {
			s.GenReqs++
		}
		s.SampleNs -= s.WallNs() / 400
	}
	singles, err := micro.ParseBatches("--shape", "3q32,4q1s256_4q1s128")
	if err != nil {
		t.Fatal(err)
	}
	grid := micro.Grid{
		Phases: micro.Phases(), Batches: []int{1, 8}, Contexts: []int{128, 1024}, Chunks: []int{64}, Singles: singles,
	}
	cells, err := grid.Cells()
	if err != nil {
		t.Fatal(err)
	}
	cells, refused := micro.Check(cells, micro.InfoLimits(p.Info()))
	res, err := micro.Run(context.Background(), p, cells, micro.Options{
		Rules: micro.QuickRules(), Seed: 1, Attribution: true, Trace: true,
		Model: engine.Model{Name: "org/gpt2", Synthetic: true, Shape: &engine.ModelShape{
			Architecture: "GPT2LMHeadModel", Layers: 12, Hidden: 768, Intermediate: 3072, Heads: 12, KVHeads: 12, HeadDim: 64,
			Vocab: 50257, MaxPositions: 1024, Parameters: 124_439_808,
		}},
		Ceilings: micro.Ceilings{CopyBytesPerS: 4e12, MatmulFLOPPerS: 8e14},
	})
	if err != nil {
		t.Fatal(err)
	}
	res.Refused = refused
	return res
}

func encode(t testing.TB, f Format, res *micro.Results) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Encode(&b, f, res); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestGolden(t *testing.T) {
	res := sample(t)
	for _, f := range []Format{Markdown, CSV, JSON, JSONL, Benchfmt} {
		t.Run(string(f), func(t *testing.T) {
			golden.Check(t, "testdata/results."+string(f), encode(t, f, res))
		})
	}
}

// The keys of JSONL are a contract.
func TestJSONLKeys(t *testing.T) {
	want := []string{
		"model", "phase", "batch", "context", "chunk", "steps", "discarded", "wall_us",
		"schedule_us", "execute_us", "sample_us", "update_us", "output_us", "stats_us", "unaccounted_us", "bridge_us",
		"device_busy_us", "device_idle_us", "idle_gap_us", "top", "tokens_per_s", "flags",
		// Beyond the contract:
		"core_us", "dropped_rounds", "dropped_steps", "graph_mode", "padded_tokens", "idle_gap_profiled_us", "idle_check",
	}
	slices.Sort(want)
	res := sample(t)
	n := 0
	for line := range strings.Lines(string(encode(t, JSONL, res))) {
		n++
		var row map[string]any
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		var keys []string
		for k := range row {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		if diff := cmp.Diff(want, keys); diff != "" {
			t.Fatalf("line %d (-want +got)\n%s", n, diff)
		}
		wall, ok := row["wall_us"].(map[string]any)
		if !ok {
			continue // no steps
		}
		sum := 0.0
		for _, part := range []string{"schedule_us", "execute_us", "sample_us", "update_us", "output_us", "stats_us", "core_us", "unaccounted_us"} {
			sum += row[part].(float64)
		}
		if median := wall["median"].(float64); math.Abs(sum-median) > 0.01 {
			t.Errorf("line %d: parts %g, wall %g", n, sum, median)
		}
		if ci := wall["ci95"].([]any); ci[0].(float64) > wall["median"].(float64) || ci[1].(float64) < wall["median"].(float64) {
			t.Errorf("line %d: interval %v without the median %v", n, ci, wall["median"])
		}
	}
	if n != len(res.Cells)+len(res.Refused) || len(res.Refused) == 0 {
		t.Errorf("%d lines for %d cells and %d refused ones", n, len(res.Cells), len(res.Refused))
	}
}

func TestCSVReadsBack(t *testing.T) {
	res := sample(t)
	all, err := csv.NewReader(bytes.NewReader(encode(t, CSV, res))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 1+len(res.Cells)+len(res.Refused) {
		t.Errorf("%d rows for %d cells", len(all)-1, len(res.Cells)+len(res.Refused))
	}
	top := all[1][slices.Index(all[0], "top")]
	var list []map[string]any
	if err := json.Unmarshal([]byte(top), &list); err != nil || len(list) != 3 || list[0]["name"] != "gemm" {
		t.Errorf("column top %q: %v", top, err)
	}
}

// benchstat's own reader finds a sample for every round of every valid cell.
func TestBenchfmtReadsBack(t *testing.T) {
	res := sample(t)
	r := benchfmt.NewReader(bytes.NewReader(encode(t, Benchfmt, res)), "results")
	rounds := map[string]int{}
	bursts := 0
	var model string
	for r.Scan() {
		switch rec := r.Result().(type) {
		case *benchfmt.SyntaxError:
			t.Errorf("syntax error: %v", rec)
		case *benchfmt.Result:
			model = rec.GetConfig("model")
			if ns, ok := rec.Value("busy-sec/op"); ok { // benchfmt turns ns into seconds
				bursts++
				if ns <= 0 {
					t.Errorf("busy %g s", ns)
				}
				continue
			}
			rounds[string(rec.Name.Full())]++
			wall, _ := rec.Value("sec/op")
			sum := 0.0
			for _, part := range []string{"schedule", "execute", "sample", "update", "output", "stats", "core", "unaccounted"} {
				v, ok := rec.Value(part + "-sec/op")
				if !ok {
					t.Errorf("%s has no %s", rec.Name, part)
				}
				sum += v
			}
			if wall <= 0 || math.Abs(sum-wall) > 1e-8 {
				t.Errorf("%s: %g s, parts %g s", rec.Name, wall, sum)
			}
		}
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	want, wantBursts := map[string]int{}, 0
	for _, c := range res.Cells {
		if c.Valid {
			want["Step/"+benchName(res, c.Cell)] = len(c.Rounds)
			if c.Device != nil {
				wantBursts += c.Device.Bursts
			}
		}
	}
	if diff := cmp.Diff(want, rounds); diff != "" {
		t.Errorf("samples (-want +got)\n%s", diff)
	}
	if bursts != wantBursts || bursts == 0 {
		t.Errorf("%d bursts, want %d", bursts, wantBursts)
	}
	if model != "org/gpt2" {
		t.Errorf("model %q", model)
	}
}

func TestParquetReadsBack(t *testing.T) {
	res := sample(t)
	data := encode(t, Parquet, res)
	got, err := parquet.Read[cellRow](bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(res.Cells)+len(res.Refused) {
		t.Errorf("%d rows for %d cells", len(got), len(res.Cells)+len(res.Refused))
	}
	if got[0].Name != res.Cells[0].Cell.Name() || *got[0].WallUs != us(res.Cells[0].Wall.MedianNs) {
		t.Errorf("first row %+v", got[0])
	}
	last := got[len(got)-1]
	if last.WallUs != nil || len(last.Flags) == 0 || !strings.HasPrefix(last.Flags[0], "refused: ") {
		t.Errorf("a refused cell is %+v", last)
	}

	var b bytes.Buffer
	if err := Steps(&b, res); err != nil {
		t.Fatal(err)
	}
	steps, err := parquet.Read[stepRow](bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if len(steps) != len(res.Steps) {
		t.Fatalf("%d rows for %d steps", len(steps), len(res.Steps))
	}
	for i, s := range res.Steps {
		w := steps[i]
		sum := w.ScheduleNs + w.ExecuteNs + w.SampleNs + w.UpdateNs + w.OutputNs + w.StatsNs + w.CoreNs + w.UnaccountedNs
		if w.Cell != s.Cell || w.WallNs != s.WallNs() || sum != w.WallNs || w.Kept != s.Counts() || w.Discard != s.Discard {
			t.Fatalf("step %d is %+v, was %+v", i, w, s)
		}
	}
	file, err := parquet.OpenFile(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	text, _ := file.Lookup("units")
	var units map[string]string
	if err := json.Unmarshal([]byte(text), &units); err != nil {
		t.Fatal(err)
	}
	for _, field := range file.Schema().Fields() {
		if units[field.Name()] == "" {
			t.Errorf("column %s has no unit", field.Name())
		}
	}
	if v, _ := file.Lookup("schema_version"); v != "1" {
		t.Errorf("schema version %q", v)
	}
}

type brokenWriter struct{}

var errBroken = errors.New("disk full")

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

func TestWriteErrors(t *testing.T) {
	res := sample(t)
	for _, f := range Formats() {
		if err := Encode(brokenWriter{}, f, res); !errors.Is(err, errBroken) {
			t.Errorf("%s: %v", f, err)
		}
	}
	if err := Steps(brokenWriter{}, res); !errors.Is(err, errBroken) {
		t.Errorf("steps: %v", err)
	}
	if err := Encode(io.Discard, "xml", res); err == nil {
		t.Errorf("an unknown format is written")
	}
}

func TestShorten(t *testing.T) {
	long := "void cutlass::Kernel2<" + strings.Repeat("x", 100) + ">(Params)"
	if got := shorten(long); len([]rune(got)) != nameWidth || !strings.HasPrefix(got, "void cutlass") || !strings.HasSuffix(got, ">(Params)") {
		t.Errorf("%q", got)
	}
	if got := shorten("short"); got != "short" {
		t.Errorf("%q", got)
	}
}
