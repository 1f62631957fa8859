package encode

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"stepbench/bench/abtest"
	"stepbench/bench/abtest/estimate"
	"stepbench/internal/markdown"
)

// benchmarks writes the Go benchmark format
// (golang.org/design/14313-benchmark-format): a line per cell, arm and launch
// with the means over its quads, so that
//
//	benchstat -col /arm FILE
//
// shows B against A with a launch as a sample. Its test does not know that
// samples come in pairs, so it sees less than the verdict does. An INVALID
// comparison has no lines, for benchstat would take them for good, nor has a
// launch that does not count.
func benchmarks(w io.Writer, c *Comparison) error {
	var b bytes.Buffer
	ev, i := c.Evidence, info(c.Evidence)
	for _, kv := range [][2]string{
		{"method", Method}, {"a", ev.Sides[abtest.ArmA].Name}, {"b", ev.Sides[abtest.ArmB].Name}, {"model", ev.Model.Name},
		{"plan", ev.Plan.Name}, {"seed", fmt.Sprint(ev.Seed)}, {"device", i.Device}, {"dtype", i.DType},
		{"graphs", i.GraphMode}, {"attention", i.AttentionBackend}, {"vllm", i.VLLMVersion}, {"torch", i.TorchVersion},
	} {
		if kv[1] != "" {
			fmt.Fprintf(&b, "%s: %s\n", kv[0], strings.Join(strings.Fields(markdown.OneLine(kv[1])), " "))
		}
	}
	fmt.Fprintf(&b, "\n# %s\n# benchstat -col /arm\n\n", Line(c))
	for _, cell := range ev.Cells {
		if c.Result.Verdict == estimate.Invalid {
			fmt.Fprintf(&b, "# %s left out\n", markdown.OneLine(cell))
			continue
		}
		kernel := ev.Series(c.Result.Endpoint, cell, abtest.Attribution)
		wall := ev.Series(c.Result.Endpoint, cell, abtest.Timing)
		for arm := range ev.Sides {
			for k := range ev.Launches {
				benchmark(&b, c, cell, abtest.Which(arm), &kernel[k], &wall[k])
			}
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// benchmark writes a line; its iterations are the steps measured.
func benchmark(b *bytes.Buffer, c *Comparison, cell string, arm abtest.Which, kernel, wall *abtest.LaunchSeries) {
	steps, values := 0, ""
	for _, s := range []struct {
		unit string
		of   *abtest.LaunchSeries
	}{{benchUnit(c.Result.Endpoint), kernel}, {"wall", wall}} {
		if !s.of.Counts {
			continue
		}
		for _, q := range s.of.Quads {
			if q.Drop == "" {
				steps += 2 * c.Evidence.BurstSteps[cell]
			}
		}
		values += fmt.Sprintf(" %.1f %s-ns/step", s.of.MeanNs[arm], s.unit)
	}
	if values != "" {
		fmt.Fprintf(b, "BenchmarkStep/model=%s/shape=%s/arm=%s %d%s\n", benchPart(c.Evidence.Model.Name), benchPart(cell), arm, max(1, steps), values)
	}
}

func benchUnit(e abtest.Endpoint) string {
	units := map[abtest.Endpoint]string{abtest.Op: "op", abtest.Union: "busy", abtest.Kern: "kernel"}
	return units[e]
}

// benchPart replaces what separates parts of a name.
func benchPart(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.IsControl(r) || slices.Contains([]rune{'/', '='}, r) {
			return '_'
		}
		return r
	}, s)
}
