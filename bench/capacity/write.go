package capacity

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"stepbench/internal/markdown"
)

// WriteJSON writes the plan as one object.
func (p *Plan) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(p)
}

// WriteMarkdown writes the plan as text and tables.
func (p *Plan) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	esc := markdown.Escape
	fmt.Fprintf(&b, "**Estimated on paper, nothing here was measured on such a machine.**\n\n")
	fmt.Fprintf(&b, "model %s · %s · %d × %s · %d tokens a sequence\n\n", esc(p.Model), esc(p.DType), p.GPUs, esc(p.Device.Name), p.Limits.ContextTokens)
	b.WriteString(markdown.Table([]markdown.Column{
		{Head: "tp"}, {Head: "pp"}, {Head: "fits", Text: true}, {Head: "weights GiB"}, {Head: "activations GiB"}, {Head: "for KV cache GiB"},
		{Head: "KV bytes a token"}, {Head: "KV tokens"}, {Head: "largest batch"},
	}, p.memoryRows()))
	for _, e := range p.Options {
		if e.Refused != "" {
			fmt.Fprintf(&b, "\nRefused, tp=%d, pp=%d: %s\n", e.TP, e.PP, esc(e.Refused))
		}
	}
	if rows := p.rateRows(); len(rows) > 0 {
		b.WriteString("\n")
		b.WriteString(markdown.Table([]markdown.Column{
			{Head: "tp"}, {Head: "pp"}, {Head: "phase", Text: true}, {Head: "batch"}, {Head: "context"}, {Head: "expected tokens/s"}, {Head: "at most tokens/s"},
		}, rows))
	}
	b.WriteString("\n" + esc(p.notes()))
	_, err := io.WriteString(w, b.String())
	return err
}

func (p *Plan) memoryRows() [][]string {
	var rows [][]string
	gibText := func(n int64) string { return fmt.Sprintf("%.2f", float64(n)/gib) }
	for _, e := range p.Options {
		row := []string{fmt.Sprint(e.TP), fmt.Sprint(e.PP)}
		switch m := e.Memory; {
		case m == nil:
			row = append(row, "refused", "–", "–", "–", "–", "–", "–")
		default:
			fits := "yes"
			if !e.Fits() {
				fits = "no"
			}
			row = append(row, fits, gibText(m.WeightBytes), gibText(m.ActivationBytes), gibText(m.KVBytes),
				fmt.Sprint(m.KVBytesPerToken), fmt.Sprint(m.KVTokens), fmt.Sprint(m.Sequences))
		}
		rows = append(rows, row)
	}
	return rows
}

func (p *Plan) rateRows() [][]string {
	var rows [][]string
	for _, e := range p.Options {
		for _, r := range e.Rates {
			expected := "–"
			if r.High > 0 {
				expected = fmt.Sprintf("%.0f–%.0f", r.Low, r.High)
			}
			rows = append(rows, []string{fmt.Sprint(e.TP), fmt.Sprint(e.PP), r.Phase, fmt.Sprint(r.Batch), fmt.Sprint(r.Context), expected, fmt.Sprintf("%.0f", r.Most)})
		}
	}
	return rows
}

// notes say where the figures come from.
func (p *Plan) notes() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Memory: of the rank with least room: %g of %.2f GiB, less weights, the peak of a profile run of %d tokens\n"+
		"and %d sequences, and %d MiB assumed outside torch. CUDA graphs come out of the rest of the device.\n",
		p.Limits.Utilization, float64(p.Device.MemoryBytes)/gib, p.Limits.MaxBatchedTokens, p.Limits.MaxSeqs, nonTorchBytes>>20)
	fmt.Fprintf(&b, "Device: %s.\n", p.Device.Source)
	if p.Device.BytesPerS == 0 {
		b.WriteString("Its bandwidth is not known, so there are no rates.\n")
		return b.String()
	}
	fmt.Fprintf(&b, "At most: the roofline of %.0f GB/s and %.0f TFLOP/s, and all-reduces of two a layer by ring, without latency.\n", p.Device.BytesPerS/1e9, p.Device.FLOPPerS/1e12)
	fmt.Fprintf(&b, "Link: %s, %.1f GB/s in one direction: %s.\n", p.Link.Name, p.Link.BytesPerS/1e9, p.Link.Source)
	if p.From == "" {
		b.WriteString("Expected: give --measured, steps measured on one device.\n")
		return b.String()
	}
	fmt.Fprintf(&b, "Expected: kernels as fitted to the steps in %s, measured on one %s, from the best to the worst fit;\n"+
		"the host's part as measured there, near the same number of tokens.\n", p.From, p.FromOn)
	if p.Across {
		b.WriteString("Those are steps of another model: such ranges are often missed, by half in places (BENCHMARKS.md).\n")
	}
	if slices.ContainsFunc(p.Options, func(e Entry) bool { return e.Devices() > 1 }) {
		b.WriteString("Ranges of several devices have not been compared with any measurement.\n")
	}
	return b.String()
}
