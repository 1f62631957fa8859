package suitereport

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"stepbench/bench/analysis"
	"stepbench/bench/analysis/analysistest"
	"stepbench/internal/golden"
)

// twelve has values of single repeats, which exports of samples need.
func twelve() *analysis.Analysis {
	a := analysistest.Twelve()
	for i := range a.Points {
		p := &a.Points[i]
		for k := range p.Repeats {
			if r := &p.Repeats[k]; r.Valid {
				by := 1 + 0.01*float64(k-1)
				r.Values = map[string]float64{
					"achieved_per_s": by * p.Achieved.V, "output_tokens_per_s": by * p.OutputTokens.V, "total_tokens_per_s": by * p.TotalTokens.V,
					"goodput_per_s": by * p.Goodput.V, "e2e_mean_ns": by * p.Latency["e2e"].Mean.V, "ttft_mean_ns": by * p.Latency["ttft"].Mean.V,
				}
			}
		}
	}
	return a
}

var samples = []struct {
	name string
	make func() *analysis.Analysis
}{
	{"one", analysistest.One},
	{"twelve", twelve},
	{"empty", func() *analysis.Analysis { return &analysis.Analysis{Suite: "quick", Profile: "quick"} }},
}

func TestMarkdownGolden(t *testing.T) {
	for _, tt := range samples {
		t.Run(tt.name, func(t *testing.T) {
			golden.Check(t, filepath.Join("testdata", tt.name+".md"), []byte(Markdown(tt.make())))
		})
	}
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	if keep := os.Getenv("STEPBENCH_REPORT"); keep != "" {
		dir = keep
	}
	if err := Write(dir, twelve()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"report.md", "report.html", "figures/phase_comparison", "figures/throughput_comparison", "figures/latency_distribution",
		"figures/latency_vs_throughput", "figures/gpu_utilization", "figures/phase_breakdown",
	} {
		suffixes := []string{""}
		if strings.HasPrefix(name, "figures/") {
			suffixes = []string{".png", ".svg"}
		}
		for _, s := range suffixes {
			if info, err := os.Stat(filepath.Join(dir, name+s)); err != nil || info.Size() == 0 {
				t.Errorf("%s%s: %v", name, s, err)
			}
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, ".stepbench-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %v, %v", left, err)
	}
}

// hostile acts as markup in HTML, SVG, Markdown, CSV and benchfmt alike.
const hostile = "</svg><script>alert(1)</script>\"'>|`x`\n## head\r\u202e\x1b[31m\xff, \"a\""

// hostileAnalysis has the text wherever text comes from data.
func hostileAnalysis(hostile string) *analysis.Analysis {
	a := twelve()
	a.Suite, a.Profile = hostile, hostile
	a.Args, a.Warnings = []string{hostile}, []string{hostile}
	a.Host.CPUModel, a.Tool.Version = hostile, hostile
	a.NotRun = []analysis.NotRun{{What: hostile, Why: hostile}}
	a.Recommended.Why = hostile
	for i := range a.Engines {
		e := &a.Engines[i]
		e.Name, e.Config.Model.Name, e.Info.Device, e.Info.VLLMVersion, e.Info.DType = hostile, hostile, hostile, hostile, hostile
		for k := range e.Memory {
			e.Memory[k].UUID = hostile
		}
	}
	for i := range a.Points {
		p := &a.Points[i]
		p.ID, p.Label, p.Model, p.Dataset, p.Pattern = hostile, hostile, hostile, hostile, hostile
		if p.Problem != "" {
			p.Problem = hostile
		}
		if p.Bottleneck != nil {
			p.Bottleneck.Reason, p.Bottleneck.Notes = hostile, []string{hostile}
			p.Bottleneck.Classes[1].Advice = []string{hostile}
		}
	}
	for i := range a.Roadmap {
		a.Roadmap[i].Advice = []string{hostile}
	}
	for i := range a.Scaling {
		a.Scaling[i].Label = hostile
	}
	return a
}

func TestHostileText(t *testing.T) {
	a := hostileAnalysis(hostile)
	var page bytes.Buffer
	if err := HTML(&page, a); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(page.String(), "<script"); n != 1 {
		t.Errorf("the page has %d scripts, want its own only", n)
	}
	if n := strings.Count(page.String(), "</svg>"); n != len(Figures(a)) {
		t.Errorf("the page closes %d drawings, want %d", n, len(Figures(a)))
	}
	for _, bad := range []string{"\u202e", "\x1b", "\xff"} {
		if strings.Contains(page.String(), bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	md := regexp.MustCompile("(?s)(`{3,})sh\\n.*?\\n`{3,}\\n").ReplaceAllString(Markdown(a), "")
	if strings.Contains(md, "<script") || strings.Contains(md, "\n## head") {
		t.Error("text of the data acts as markup in the Markdown")
	}
	// Every row of a table has as many cells as its head.
	bars := regexp.MustCompile(`(^|[^\\])\|`)
	width := 0
	for _, line := range strings.Split(md, "\n") {
		if !strings.HasPrefix(line, "|") {
			width = 0
			continue
		}
		n := len(bars.FindAllString(line, -1))
		if width == 0 {
			width = n
		}
		if n != width {
			t.Fatalf("a row has %d bars and its head %d: %s", n, width, line)
		}
	}
}

func TestNumber(t *testing.T) {
	tests := map[float64]string{0: "0.00", 0.004: "0.0040", 0.0123: "0.012", 0.5: "0.500", 1: "1.00", 12.34: "12.3", 123.4: "123", -2: "-2.00"}
	for v, want := range tests {
		if got := number(v); got != want {
			t.Errorf("number(%g) = %q, want %q", v, got, want)
		}
	}
}
