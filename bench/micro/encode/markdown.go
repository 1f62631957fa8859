package encode

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"stepbench/bench/micro"
	"stepbench/engine"
	"stepbench/internal/markdown"
)

// nameWidth is where the names of kernels are cut in tables, in characters.
const nameWidth = 60

// writeMarkdown writes a table of all cells and one of their top kernels or ops.
// Columns that no cell needs are left out.
func writeMarkdown(w io.Writer, res *micro.Results) error {
	var b bytes.Buffer
	fmt.Fprintln(&b, markdown.Escape(markdown.OneLine(banner(res))))
	fmt.Fprintln(&b)
	all := rows(res)
	cellTable(&b, res, all)
	legend(&b, res)
	refusals(&b, res)
	topTable(&b, res, all)
	_, err := w.Write(b.Bytes())
	return err
}

// banner says what was measured on what.
func banner(res *micro.Results) string {
	i := res.Info
	parts := []string{"model " + res.Model.Name}
	if res.Model.Synthetic {
		parts[0] += " (random weights)"
	}
	for _, p := range []string{i.Device, i.DType, i.AttentionBackend, "graphs " + i.GraphMode, "vLLM " + i.VLLMVersion, "profile " + res.Rules.Name, fmt.Sprintf("seed %d", res.Seed)} {
		if p != "" && !strings.HasSuffix(p, " ") {
			parts = append(parts, p)
		}
	}
	if res.Interrupted {
		parts = append(parts, "INTERRUPTED: partial")
	}
	return strings.Join(parts, " · ")
}

// mdColumn is a column of the table; it is left out unless needed.
type mdColumn struct {
	head   string
	left   bool // text
	needed bool
	value  func(i int) string
}

func cellTable(b *bytes.Buffer, res *micro.Results, all []row) {
	all = all[:len(res.Cells)]
	var chunks, devices, spread, checked, modes, rates, shares, shapes bool
	for i, r := range all {
		c := &res.Cells[i]
		chunks = chunks || r.Chunk > 0
		shapes = shapes || !c.Cell.Axes().Exact
		devices = devices || c.Device != nil
		spread = spread || c.Device != nil && len(c.Device.Ranks) > 0
		checked = checked || c.Device != nil && c.Device.Idle != nil
		modes = modes || c.GraphMode != "" && c.GraphMode != engine.GraphNone.String()
		rates = rates || c.Roofline != nil
		shares = shares || c.Roofline != nil && c.Roofline.CopyFrac != nil
	}
	at := func(get func(*row) *float64) func(int) string {
		return func(i int) string { return micros(get(&all[i])) }
	}
	of := func(get func(*wall) string) func(int) string {
		return func(i int) string {
			if all[i].WallUs == nil {
				return "-"
			}
			return get(all[i].WallUs)
		}
	}
	roof := func(get func(*micro.Roofline) string) func(int) string {
		return func(i int) string {
			if r := res.Cells[i].Roofline; r != nil {
				return get(r)
			}
			return "-"
		}
	}
	columns := []mdColumn{
		{"shape", true, shapes, func(i int) string { return res.Cells[i].Cell.Name() }},
		{"phase", true, true, func(i int) string { return all[i].Phase }},
		{"batch", false, true, func(i int) string { return fmt.Sprint(all[i].Batch) }},
		{"context", false, true, func(i int) string { return fmt.Sprint(all[i].Context) }},
		{"chunk", false, chunks, func(i int) string { return fmt.Sprint(all[i].Chunk) }},
		{"step µs", false, true, of(func(w *wall) string { return fmt.Sprintf("**%.1f**", w.Median) })},
		{"95 % interval", false, true, of(func(w *wall) string {
			if w.CI95 == nil {
				return "-"
			}
			return fmt.Sprintf("%.1f–%.1f", w.CI95[0], w.CI95[1])
		})},
		{"p10", false, true, of(func(w *wall) string { return fmt.Sprintf("%.1f", w.P10) })},
		{"p90", false, true, of(func(w *wall) string { return fmt.Sprintf("%.1f", w.P90) })},
		{"tokens/s", false, true, func(i int) string {
			if all[i].TokensPerS == nil {
				return "-"
			}
			return fmt.Sprintf("%.0f", *all[i].TokensPerS)
		}},
		{"schedule", false, true, at(func(r *row) *float64 { return r.ScheduleUs })},
		{"execute", false, true, at(func(r *row) *float64 { return r.ExecuteUs })},
		{"sample", false, true, at(func(r *row) *float64 { return r.SampleUs })},
		{"update", false, true, at(func(r *row) *float64 { return r.UpdateUs })},
		{"output", false, true, at(func(r *row) *float64 { return r.OutputUs })},
		{"stats", false, true, at(func(r *row) *float64 { return r.StatsUs })},
		{"core", false, true, at(func(r *row) *float64 { return r.CoreUs })},
		{"unaccounted", false, true, at(func(r *row) *float64 { return r.UnaccountedUs })},
		{"bridge", false, true, at(func(r *row) *float64 { return r.BridgeUs })},
		{"busy", false, devices, at(func(r *row) *float64 { return r.DeviceBusyUs })},
		{"idle", false, devices, at(func(r *row) *float64 { return r.DeviceIdleUs })},
		{"idle %", false, devices, func(i int) string {
			if d := res.Cells[i].Device; d != nil {
				return fmt.Sprintf("%.1f", 100*d.BubbleFrac)
			}
			return "-"
		}},
		{"communication %", false, spread, func(i int) string {
			if d := res.Cells[i].Device; d != nil {
				return fmt.Sprintf("%.1f", 100*d.CollectiveFrac)
			}
			return "-"
		}},
		{"idle by gaps", false, checked, at(func(r *row) *float64 { return r.IdleGapUs })},
		{"graph", true, modes, func(i int) string { return res.Cells[i].GraphMode }},
		{"padded", false, modes, func(i int) string { return fmt.Sprint(res.Cells[i].PaddedTokens) }},
		{"GB/s", false, rates, roof(func(r *micro.Roofline) string { return fmt.Sprintf("%.1f", r.BytesPerS/1e9) })},
		{"% of copy", false, shares, roof(func(r *micro.Roofline) string { return percent(r.CopyFrac) })},
		{"TFLOP/s", false, rates, roof(func(r *micro.Roofline) string { return fmt.Sprintf("%.2f", r.FLOPPerS/1e12) })},
		{"% of matmul", false, shares, roof(func(r *micro.Roofline) string { return percent(r.MatmulFrac) })},
		{"steps", false, true, func(i int) string { return fmt.Sprint(all[i].Steps) }},
		{"flags", true, true, func(i int) string { return strings.Join(res.Cells[i].Flags, "; ") }},
	}
	writeTable(b, columns, len(all))
}

func writeTable(b *bytes.Buffer, columns []mdColumn, rows int) {
	line := func(cell func(mdColumn) string) {
		b.WriteString("|")
		for _, c := range columns {
			if c.needed {
				fmt.Fprintf(b, " %s |", strings.ReplaceAll(cell(c), "|", `\|`))
			}
		}
		b.WriteString("\n")
	}
	line(func(c mdColumn) string { return c.head })
	line(func(c mdColumn) string {
		if c.left {
			return ":--"
		}
		return "--:"
	})
	for i := range rows {
		line(func(c mdColumn) string { return c.value(i) })
	}
}

func micros(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.1f", *v)
}

func percent(frac *float64) string {
	if frac == nil {
		return "-"
	}
	return fmt.Sprintf("%.1f", 100**frac)
}

func legend(b *bytes.Buffer, res *micro.Results) {
	fmt.Fprint(b, `
Times in µs per step. Step is the median over rounds of the time inside
LLMEngine.step; p10 and p90 are of single steps. schedule to unaccounted add up
to it, bridge is the way into vLLM and back, outside it. `)
	few := false
	for _, c := range res.Cells {
		few = few || c.Wall.CIMethod == micro.IntervalStudent
	}
	if few {
		fmt.Fprint(b, `Intervals of fewer
than six rounds are Student's on logarithms, the others order statistics. `)
	}
	fmt.Fprint(b, `Discarded steps are
counted by reason among the flags; rounds before a change of level are dropped
whole and counted as dropped-rounds.
`)
	for _, c := range res.Cells {
		if c.Device != nil {
			fmt.Fprintf(b, `busy is the union of %s intervals under the profiler, idle the step less busy.
`, c.Device.Unit)
			break
		}
	}
	for _, c := range res.Cells {
		if c.Device != nil && c.Device.Idle != nil {
			fmt.Fprint(b, `idle by gaps is the gaps between them less what the profiler added, of other steps.
`)
			break
		}
	}
	if ceilings := res.Ceilings; ceilings != (micro.Ceilings{}) {
		fmt.Fprintf(b, "Ceilings: copy %.0f GB/s, matmul %.1f TFLOP/s.\n", ceilings.CopyBytesPerS/1e9, ceilings.MatmulFLOPPerS/1e12)
	}
}

func refusals(b *bytes.Buffer, res *micro.Results) {
	if len(res.Refused) == 0 {
		return
	}
	fmt.Fprintln(b, "\nRefused:")
	fmt.Fprintln(b)
	for _, r := range res.Refused {
		fmt.Fprintf(b, "- %s\n", r.Error())
	}
}

func topTable(b *bytes.Buffer, res *micro.Results, all []row) {
	type line struct {
		cell string
		top
		share float64
	}
	var list []line
	unit := ""
	for i, c := range res.Cells {
		if c.Device == nil {
			continue
		}
		unit = c.Device.Unit
		for _, t := range all[i].Top {
			list = append(list, line{c.Cell.Name(), t, t.Us * 1e3 / c.Device.BusyNs})
		}
	}
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(b, "\nTop %ss, per step:\n\n", unit)
	writeTable(b, []mdColumn{
		{"cell", true, true, func(i int) string {
			if i > 0 && list[i-1].cell == list[i].cell {
				return ""
			}
			return list[i].cell
		}},
		{unit, true, true, func(i int) string { return "`" + shorten(list[i].Name) + "`" }},
		{"calls", false, true, func(i int) string { return fmt.Sprintf("%.4g", list[i].Calls) }},
		{"µs", false, true, func(i int) string { return fmt.Sprintf("%.1f", list[i].Us) }},
		{"% of busy", false, true, func(i int) string { return fmt.Sprintf("%.1f", 100*list[i].share) }},
	}, len(list))
}

// shorten cuts the middle out of a long name: its start says what it is, its
// end which instance.
func shorten(name string) string {
	r := []rune(strings.ReplaceAll(markdown.OneLine(name), "`", "'"))
	if len(r) <= nameWidth {
		return string(r)
	}
	head := nameWidth * 2 / 3
	return string(r[:head]) + "…" + string(r[len(r)-(nameWidth-head-1):])
}
