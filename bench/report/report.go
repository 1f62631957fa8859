// Package report writes the report of a run. Every number in it comes from the
// run's own record.
package report

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"stepbench/bench/record"
	"stepbench/bench/workload"
	"stepbench/internal/markdown"
)

// File is the report's name in a run directory.
const File = "report.md"

// Write reads the run in dir and puts its report beside it, replacing one that
// is there.
func Write(dir string) error {
	rec, err := record.Open(dir)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, File), []byte(Markdown(rec)), 0o644); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// Markdown is the report of rec.
func Markdown(rec *record.Record) string {
	var b strings.Builder
	sum := rec.Summary()
	fmt.Fprintf(&b, "# stepbench %s: %s\n\n", plain(rec.Manifest.Command), plain(modelName(&rec.Manifest)))
	banners(&b, rec, sum)
	setup(&b, &rec.Manifest)
	if sum != nil {
		throughput(&b, sum)
		latencies(&b, sum)
		shares(&b, sum)
		if i := rec.Manifest.Info; i != nil && i.QueuedBatches > 0 {
			calls(&b, rec, sum)
		} else {
			steps(&b, sum)
		}
		ranks(&b, &rec.Manifest)
		machine(&b, rec, sum)
	}
	validity(&b, rec, sum)
	if sum != nil {
		howToRead(&b, sum)
	}
	fmt.Fprintf(&b, "## Command\n\n%s", markdown.Fence("sh", Shell(rec.Manifest.Args)))
	return b.String()
}

// lines are those of clean text.
func lines(text string) string {
	return strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(markdown.Clean(text))
}

// plain makes text that came from data mean itself, on one line.
func plain(text string) string { return markdown.Escape(markdown.OneLine(text)) }

func modelName(m *record.Manifest) string {
	if m.Engine.Model.Synthetic {
		return m.Engine.Model.Name + " (random weights)"
	}
	return m.Engine.Model.Name
}

// banners say first what a reader must know before any number.
func banners(b *strings.Builder, rec *record.Record, sum *workload.Summary) {
	banner := func(format string, args ...any) { fmt.Fprintf(b, "> "+format+"\n\n", args...) }
	m := &rec.Manifest
	switch {
	case rec.Source == record.FromJournal:
		banner("**UNFINISHED.** The run is still going on or was killed. This is what it had delivered; requests in flight left no record.")
	case m.State == record.Interrupted:
		banner("**INTERRUPTED.** The run was stopped early. What follows is what was measured until then.")
	case m.State == record.Failed:
		banner("**FAILED.** What follows is what was measured until then.")
	}
	if m.Error != "" {
		fmt.Fprintf(b, "    %s\n\n", strings.ReplaceAll(strings.TrimSpace(lines(m.Error)), "\n", "\n    "))
	}
	if sum == nil {
		return
	}
	for _, g := range sum.Gates {
		if g.Voids && g.Status == workload.Fail {
			banner("**INVALID:** the gate *%s* failed: %s. Its rule: %s.", g.Name, g.Detail, g.Rule)
		}
	}
	if sum.Saturation.Verdict == workload.Yes {
		banner("**SATURATED:** %s. Latencies of a saturated run grow with its length and cannot be compared.", sum.Saturation.Reason)
	}
	if m.Engine.Model.Synthetic {
		banner("The model has the right shapes and **random weights**: its speed is meaningful, its output is not.")
	}
}

// setup says what was run, on what and with what.
func setup(b *strings.Builder, m *record.Manifest) {
	b.WriteString("## What was run\n\n")
	var rows [][]string
	row := func(name, format string, args ...any) {
		rows = append(rows, []string{name, plain(fmt.Sprintf(format, args...))})
	}
	if w := m.Workload; w != nil {
		row("Load", "%s", w)
		row("Prompts", "%s, seed %d", w.Dataset, w.Prompts.Seed)
		if !w.Offline() {
			kind := "rescaled to the exact rate"
			if w.Arrivals.Raw {
				kind = "as drawn"
			}
			row("Arrivals", "%s, seed %d, %s", w.Arrivals.Pattern, w.Arrivals.Seed, kind)
		}
		row("Profile", "%s", w.Profile)
	}
	row("Model", "%s", modelText(m))
	if n := m.Engine.Ranks(); n > 1 {
		row("Parallelism", "tensor %d × pipeline %d: %d ranks", max(1, m.Engine.TP), max(1, m.Engine.PP), n)
	}
	if i := m.Info; i != nil {
		row("Device", "%s (%s)", i.Device, i.Platform)
		row("Engine", "vLLM %s, torch %s, Python %s", i.VLLMVersion, i.TorchVersion, i.PythonVersion)
		row("Execution", "%s, graphs %s, attention %s, async scheduling %s, prefix cache %s",
			i.DType, orAbsent(i.GraphMode), orAbsent(i.AttentionBackend), onOff(i.AsyncScheduling), onOff(i.PrefixCaching))
		row("Limits", "%d tokens of context, %d sequences and %d tokens a step, KV cache of %d × %d tokens",
			i.MaxModelLen, i.MaxNumSeqs, i.MaxNumBatchedTokens, i.KVBlocks, i.KVBlockSize)
		row("Engine start", "%s s, of which compiling %s s", number(i.OpenSeconds), number(i.CompileSeconds))
	} else {
		row("Device", "not available: the engine never opened")
	}
	h := m.Host
	row("Host", "%s, %s, %s of memory, %s/%s %s", orAbsent(h.CPUModel), plural(h.CPUs, "CPU"), gib(h.MemoryBytes), h.OS, h.Arch, h.Kernel)
	tool := m.Tool.Version
	if m.Tool.Commit != "" {
		tool += " (" + m.Tool.Commit + ")"
	}
	row("stepbench", "%s, %s, record schema %d", tool, m.Tool.Go, m.SchemaVersion)
	row("Started", "%s", m.StartUTC.UTC().Format("2006-01-02 15:04:05 UTC"))
	table(b, false, []string{"", ""}, rows)
}

func modelText(m *record.Manifest) string {
	text := modelName(m)
	if s := m.Engine.Model.Shape; s != nil {
		text += fmt.Sprintf(", %s, %s, hidden size %d, %s M parameters",
			s.Architecture, plural(s.Layers, "layer"), s.Hidden, number(float64(s.Parameters)/1e6))
	}
	return text
}

func orAbsent(s string) string {
	if s == "" {
		return absent
	}
	return s
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func gib(bytes int64) string {
	if bytes == 0 {
		return absent
	}
	return number(float64(bytes)/(1<<30)) + " GiB"
}
