package numerics

import (
	"fmt"
	"slices"
	"strings"
)

// Markdown is the report as a short block: the status, a table of the paths
// compared and what a reader must know of them.
func (r *Report) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "**Outputs: %s**\n\n", r.Line())
	if r.Status == NotChecked {
		return b.String()
	}
	fmt.Fprintf(&b, "| path | positions | bitwise equal | top-1 agreement | mean \\|Δ\\| of %[1]s | max \\|Δ\\| of %[1]s | mean KL |\n", r.Kind)
	b.WriteString("|---|---:|---|---:|---:|---:|---:|\n")
	r.row(&b, "decode, up to the first divergence", r.Decode)
	r.row(&b, "prefill, teacher-forced", r.Prefill)
	l, f := r.Limits, r.Floors
	fmt.Fprintf(&b, "| limit | | | ≥ %.1f %% | ≤ %.2g | ≤ %.2g | ≤ %.2g |\n", 100*l.Top1Frac, l.MeanAbs, l.MaxAbs, l.KL)
	if f.Pairs > 0 {
		fmt.Fprintf(&b, "| A against A, %d pairs | | %s | | %.2g | %.2g | %.2g |\n", f.Pairs, yesNo(f.BitEqual), f.MeanAbs, f.MaxAbs, f.KL)
	}
	b.WriteString("\n")
	for _, line := range r.notes() {
		fmt.Fprintf(&b, "- %s\n", line)
	}
	b.WriteString("\n")
	return b.String()
}

func (r *Report) row(b *strings.Builder, name string, g *Agreement) {
	if g == nil {
		fmt.Fprintf(b, "| %s | not compared | | | | | |\n", name)
		return
	}
	fmt.Fprintf(b, "| %s | %d | %s | %.2f %% | %.2g | %.2g | %.2g |\n",
		name, g.Positions, yesNo(g.BitEqual), 100*g.Top1Frac, g.MeanAbs, g.MaxAbs, g.KL)
}

// notes are the reasons, and what limits the meaning of the numbers.
func (r *Report) notes() []string {
	const decodeOnly = "Kernels that run only in decode show in the tokens and the decode path alone."
	if r.Status == Identical {
		return []string{decodeOnly}
	}
	all := slices.Clone(r.Reasons)
	if len(r.Broken) > 0 {
		all = append(all, fmt.Sprintf("%d of %d prompts give equal tokens.", r.EqualPrompts, r.Prompts))
	}
	switch {
	case r.Floors.Pairs == 0:
		all = append(all, "A was not compared with itself: part of a difference may be the engine's own.")
	case r.Floors.BitEqual:
		all = append(all, "A repeats bit by bit: every difference is B's.")
	}
	unlisted := 0
	for _, path := range []*Agreement{r.Decode, r.Prefill} {
		if path != nil {
			unlisted += path.Unlisted
		}
	}
	if unlisted > 0 {
		all = append(all, fmt.Sprintf("B's lists lack %d tokens of A's; the least likely one listed stood in for each.", unlisted))
	}
	return append(all, decodeOnly, "The limits are meant for bfloat16.")
}

func yesNo(v bool) string {
	if v {
		return "yes"
	}
	return "no"
}
