package encode

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode"

	"stepbench/bench/micro"
)

// benchmarks writes the Go benchmark format
// (golang.org/design/14313-benchmark-format): a line per round, so that
// benchstat has samples, and one per profiled burst. The iterations of a line
// are its steps. Cells that are INVALID are left out, for a comparison would
// take them for good.
func benchmarks(w io.Writer, res *micro.Results) error {
	var b bytes.Buffer
	for _, kv := range [][2]string{
		{"method", micro.Method}, {"model", res.Model.Name}, {"profile", res.Rules.Name},
		{"seed", fmt.Sprint(res.Seed)}, {"device", res.Info.Device}, {"dtype", res.Info.DType},
		{"graphs", res.Info.GraphMode}, {"attention", res.Info.AttentionBackend},
		{"vllm", res.Info.VLLMVersion}, {"torch", res.Info.TorchVersion},
	} {
		if kv[1] != "" {
			fmt.Fprintf(&b, "%s: %s\n", kv[0], oneLine(kv[1]))
		}
	}
	b.WriteString("\nUnit tokens/s better=higher\n\n")
	for i := range res.Cells {
		c := &res.Cells[i]
		name := benchName(res, c.Cell)
		if !c.Valid {
			fmt.Fprintf(&b, "# %s left out: %s\n", name, oneLine(strings.Join(c.Flags, "; ")))
			continue
		}
		if c.Dropped > 0 {
			fmt.Fprintf(&b, "# %s without its first %d rounds, before a change of level\n", name, c.Dropped)
		}
		tokens := c.TokensPerS * c.Wall.MedianNs // per step, times 1e9
		for _, r := range c.Rounds {
			p := r.Parts
			fmt.Fprintf(&b, "BenchmarkStep/%s %d %.0f ns/op %.1f tokens/s", name, r.Steps, r.MedianNs, tokens/r.MedianNs)
			for _, part := range []struct {
				name string
				ns   float64
			}{
				{"schedule", p.ScheduleNs}, {"execute", p.ExecuteNs}, {"sample", p.SampleNs}, {"update", p.UpdateNs},
				{"output", p.OutputNs}, {"stats", p.StatsNs}, {"core", p.CoreNs}, {"unaccounted", p.UnaccountedNs}, {"bridge", r.BridgeNs},
			} {
				fmt.Fprintf(&b, " %.0f %s-ns/op", part.ns, part.name)
			}
			b.WriteString("\n")
		}
		if c.Device == nil {
			continue
		}
		for _, s := range c.Device.Samples {
			fmt.Fprintf(&b, "BenchmarkDevice/%s %d %.0f busy-ns/op %.0f sum-ns/op %.0f gap-ns/op\n", name, s.Steps, s.BusyNs, s.SumNs, s.GapNs)
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// benchName places the cell by its axes, or, where they do not describe it, by
// its batch.
func benchName(res *micro.Results, c micro.Cell) string {
	a := c.Axes()
	name := "model=" + benchPart(res.Model.Name) + "/phase=" + string(a.Phase)
	if !a.Exact {
		return name + "/shape=" + c.Name()
	}
	name += fmt.Sprintf("/batch=%d/context=%d", a.Batch, a.Context)
	if a.Chunk > 0 {
		name += fmt.Sprintf("/chunk=%d", a.Chunk)
	}
	return name
}

// benchPart replaces what separates parts of a name.
func benchPart(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '/' || unicode.IsSpace(r) {
			return '_'
		}
		return r
	}, s)
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
