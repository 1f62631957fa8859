package suitereport

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stepbench/bench/analysis"
	"stepbench/bench/analysis/analysistest"
	"stepbench/bench/suite"
	"stepbench/bench/workload"
)

// FuzzReport: whatever a suite's manifest and profiled bursts hold, beside good
// records, its report can be made in every form, or the suite is refused.
func FuzzReport(f *testing.F) {
	dir := f.TempDir()
	short := func(flags *workload.Flags) { flags.Requests = 6 }
	err := analysistest.Suite{Points: []analysistest.SuitePoint{
		{ID: "a", Axis: "base", Devices: 1, Change: short}, {ID: "b", Axis: "parallelism", Devices: 2, Change: short},
		{ID: "c", Axis: "model", Devices: 1, Failed: "out of memory"},
	}}.Write(dir)
	if err != nil {
		f.Fatal(err)
	}
	manifest, attribution := filepath.Join(dir, suite.ManifestFile), filepath.Join(dir, "engines", "gpt2-tp1", suite.AttributionFile)
	var seeds []string
	for _, path := range []string{manifest, attribution} {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		seeds = append(seeds, string(text))
	}
	f.Add(seeds[0], seeds[1])
	f.Add(seeds[0], `{"buckets":[{"gen_reqs":-1,"wall_ns":1e308,"busy_ns":-1e308},{"ctx_tokens":9223372036854775807}]}`)
	f.Add(strings.ReplaceAll(seeds[0], `"devices": 1`, `"devices": 0`), seeds[1])
	f.Add(strings.ReplaceAll(seeds[0], `"gpt2 tp=1"`, `"</script><script>"`), "{}")
	f.Add(`{"schema_version":1,"points":[{"engine":"none","repeats":[{"dir":"../../etc"}]}]}`, "")
	f.Fuzz(func(t *testing.T, suiteText, attributionText string) {
		for path, text := range map[string]string{manifest: suiteText, attribution: attributionText} {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		a, err := analysis.Load(dir)
		if err != nil {
			if !strings.Contains(err.Error(), dir) {
				t.Fatalf("the error does not say where: %v", err)
			}
			return
		}
		for _, format := range []Format{FormatMarkdown, FormatHTML, FormatCSV, FormatBenchfmt, FormatVLLM} {
			var text bytes.Buffer
			if err := Encode(&text, format, a); err != nil {
				t.Fatalf("%s: %v", format, err)
			}
			if n := bytes.Count(text.Bytes(), []byte("<script")); format == FormatHTML && n != 1 {
				t.Fatalf("the page has %d scripts", n)
			}
		}
	})
}
