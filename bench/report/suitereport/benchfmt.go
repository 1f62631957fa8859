package suitereport

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"stepbench/bench/analysis"
	"stepbench/internal/markdown"
)

// benchMetrics are the values of a repeat that go into the benchmark format,
// and their units there.
var benchMetrics = []struct {
	value, unit string
	scale       float64
}{
	{"achieved_per_s", "req/s", 1}, {"output_tokens_per_s", "output-tok/s", 1}, {"total_tokens_per_s", "tok/s", 1}, {"goodput_per_s", "goodput-req/s", 1},
	{"ttft_mean_ns", "ttft-sec/req", 1e-9}, {"tpot_mean_ns", "tpot-sec/tok", 1e-9}, {"e2e_mean_ns", "e2e-sec/req", 1e-9},
	{"queue_mean_ns", "queue-sec/req", 1e-9}, {"prefill_mean_ns", "prefill-sec/req", 1e-9}, {"decode_mean_ns", "decode-sec/req", 1e-9},
}

// benchmarks writes the Go benchmark format
// (golang.org/design/14313-benchmark-format): a line for each valid repeat, so
// that benchstat takes a repeat for a sample. Its iterations are the requests.
func benchmarks(w io.Writer, a *analysis.Analysis) error {
	var b bytes.Buffer
	v := view{a}
	config := [][2]string{{"suite", a.Suite}, {"profile", a.Profile}, {"tool", a.Tool.Version}, {"cpu", a.Host.CPUModel}, {"goos", a.Host.OS}, {"goarch", a.Host.Arch}}
	if len(a.Engines) > 0 {
		i := a.Engines[0].Info
		config = append(config, [][2]string{{"device", i.Device}, {"vllm", i.VLLMVersion}, {"torch", i.TorchVersion}, {"dtype", i.DType}}...)
	}
	for _, kv := range config {
		if text := strings.Join(strings.Fields(markdown.OneLine(kv[1])), " "); text != "" {
			fmt.Fprintf(&b, "%s: %s\n", kv[0], text)
		}
	}
	for _, unit := range []string{"req/s", "output-tok/s", "tok/s", "goodput-req/s"} {
		fmt.Fprintf(&b, "Unit %s better=higher\n", unit)
	}
	b.WriteString("\n")
	for _, p := range v.all() {
		for _, r := range valid(p) {
			line := ""
			for _, m := range benchMetrics {
				if x, ok := r.Values[m.value]; ok {
					line += fmt.Sprintf(" %.6g %s", m.scale*x, m.unit)
				}
			}
			if line != "" {
				fmt.Fprintf(&b, "BenchmarkServe/point=%s/model=%s/dataset=%s/load=%s %d%s\n", benchPart(p.ID), benchPart(p.Model), benchPart(p.Dataset), benchPart(load(p)), max(1, len(r.E2ENs)), line)
			}
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// benchPart replaces what separates parts of a name.
func benchPart(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.IsControl(r) || slices.Contains([]rune{'/', '='}, r) {
			return '_'
		}
		return r
	}, markdown.Clean(s))
}
