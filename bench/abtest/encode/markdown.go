package encode

import (
	"bytes"
	"fmt"
	"io"

	"stepbench/bench/abtest"
	"stepbench/internal/markdown"
)

// tableRows is how many kernels a table in Markdown lists before it sums the
// rest up.
const tableRows = 12

// asMarkdown writes the whole comparison as Markdown, the verdict first.
func asMarkdown(w io.Writer, c *Comparison) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n\n%s\n", headline(c).markdown(), summaryLine(c).markdown())
	failure(&b, c)
	if len(c.Result.Cells) > 0 && len(c.Evidence.Launches) > 0 {
		fmt.Fprintf(&b, "\n## Shapes\n\n%s\n%s\n", shapes(c).markdown(), shapesNote(c))
	}
	if list := notes(c); len(list) > 0 {
		b.WriteString("\n")
		for _, n := range list {
			fmt.Fprintf(&b, "- %s\n", n.markdown())
		}
	}
	noted := false
	for i := range c.Result.Cells {
		cell := &c.Result.Cells[i]
		if len(cell.Kernels) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n## %ss of %s\n\n%s", upper(unit(c.Result.Endpoint)), name(cell.Name).markdown(), shortKernels(c, cell).markdown())
		if !noted {
			fmt.Fprintf(&b, "\n%s\n", kernelsNote(c))
			noted = true
		}
	}
	mdOutputs(&b, c)
	if len(c.Result.Gates) > 0 {
		fmt.Fprintf(&b, "\n## Gates\n\n%s", gates(c.Result).markdown())
	}
	b.WriteString("\n## Conditions\n\n")
	for _, k := range conditions(c) {
		fmt.Fprintf(&b, "- %s: %s\n", markdown.Escape(markdown.OneLine(k.Name)), k.Value.markdown())
	}
	if c.Command != "" {
		fmt.Fprintf(&b, "\n%s", markdown.Fence("sh", c.Command))
	}
	_, err := w.Write(b.Bytes())
	return err
}

// failure shows what a worker left behind.
func failure(b *bytes.Buffer, c *Comparison) {
	if f := c.Evidence.Failure; f != nil && len(f.Log) > 0 {
		fmt.Fprintf(b, "\nThe worker's last lines:\n\n%s", markdown.Fence("", logText(f)))
	}
}

// shortKernels is the kernel table with all rows under test and the first ones
// of the others; the rest stand together.
func shortKernels(c *Comparison, cell *abtest.CellResult) table {
	t := kernels(c, cell)
	if len(cell.Kernels) <= tableRows {
		return t
	}
	var rest abtest.KernelRow
	n := 0
	rows := t.Rows[:0:0]
	for i := range cell.Kernels {
		k := &cell.Kernels[i]
		if i < tableRows || k.Target {
			rows = append(rows, t.Rows[i])
			continue
		}
		n++
		for w := range k.Us {
			rest.Us[w] += k.Us[w]
			rest.Calls[w] += k.Calls[w]
		}
		rest.DeltaUs += k.DeltaUs
		rest.ContributionPct += k.ContributionPct
		rest.ShareFrac += k.ShareFrac
	}
	if n > 0 {
		row := kernelCells(&rest)
		row[0], row[len(row)-1] = say(fmt.Sprintf("%d more", n)), nil
		rows = append(rows, row)
	}
	t.Rows = append(rows, t.Rows[len(t.Rows)-1])
	return t
}

func mdOutputs(b *bytes.Buffer, c *Comparison) {
	line, t, reasons := outputs(&c.Result.Outputs)
	fmt.Fprintf(b, "\n## Outputs\n\n%s\n", line.markdown())
	if len(t.Rows) > 0 {
		fmt.Fprintf(b, "\n%s\n%s\n", t.markdown(), outputsNote)
	}
	if len(reasons) > 0 {
		b.WriteString("\n")
	}
	for _, r := range reasons {
		fmt.Fprintf(b, "- %s\n", say(r).markdown())
	}
}
