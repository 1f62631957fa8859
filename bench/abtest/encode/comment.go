package encode

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"stepbench/bench/abtest"
	"stepbench/internal/markdown"
)

const (
	commentShapes  = 8
	commentKernels = 5
)

// comment writes what a reviewer needs: the verdict, a short table, the kernels
// that changed and whether the outputs did. The rest folds away.
func comment(w io.Writer, c *Comparison) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n\n%s\n", headline(c).markdown(), summaryLine(c).markdown())
	if r := c.Result; len(r.Cells) > 0 && len(c.Evidence.Launches) > 0 {
		t := shapes(c).without("context", "quads", "dropped")
		fmt.Fprintf(&b, "\n%s", t.short(commentShapes).markdown())
		if more := len(t.Rows) - commentShapes; more > 0 {
			fmt.Fprintf(&b, "\n%s not shown.\n", plural(more, "shape", "shapes"))
		}
	}
	for i := range c.Result.Cells {
		cell := &c.Result.Cells[i]
		t := changed(c, cell).without("points of the step", "calls A", "calls B")
		if len(t.Rows) == 0 || i >= commentShapes {
			continue
		}
		fmt.Fprintf(&b, "\n%ss that changed at %s:\n\n%s", upper(unit(c.Result.Endpoint)), name(cell.Name).markdown(), t.markdown())
	}
	line, _, reasons := outputs(&c.Result.Outputs)
	fmt.Fprintf(&b, "\nOutputs: %s\n", line.markdown())
	for _, r := range reasons {
		fmt.Fprintf(&b, "- %s\n", say(r).markdown())
	}
	if t, counts := doubtful(c.Result); len(t.Rows) > 0 {
		fmt.Fprintf(&b, "\n<details><summary>Gates that did not pass: %s</summary>\n\n%s\n</details>\n", counts, t.markdown())
	} else if n := len(c.Result.Gates); n > 0 {
		fmt.Fprintf(&b, "\nAll %d gates passed.\n", n)
	}
	if f := c.Evidence.Failure; f != nil && len(f.Log) > 0 {
		fmt.Fprintf(&b, "\n<details><summary>The worker's last lines</summary>\n\n%s\n</details>\n", markdown.Fence("", logText(f)))
	}
	if list := notes(c); len(list) > 0 {
		b.WriteString("\n<details><summary>How sure this is</summary>\n\n")
		for _, n := range list {
			fmt.Fprintf(&b, "- %s\n", n.markdown())
		}
		b.WriteString("\n</details>\n")
	}
	if c.Command != "" {
		fmt.Fprintf(&b, "\n%s", markdown.Fence("sh", c.Command))
	}
	_, err := w.Write(b.Bytes())
	return err
}

// changed are the kernels under test, and those that their interval or their
// machine code says have changed.
func changed(c *Comparison, cell *abtest.CellResult) table {
	part := *cell
	part.Kernels = slices.DeleteFunc(slices.Clone(cell.Kernels), func(k abtest.KernelRow) bool {
		moved := k.Interval != nil && (k.Interval.Lo > 0 || k.Interval.Hi < 0)
		other := k.Code == abtest.CodeChanged || k.Code == abtest.CodeAOnly || k.Code == abtest.CodeBOnly
		return !k.Target && !moved && !other
	})
	t := kernels(c, &part)
	return t.short(min(commentKernels, len(part.Kernels))) // the sum of a part is no one's
}

func logText(f *abtest.Failure) string {
	var lines []string
	for _, l := range f.Log {
		lines = append(lines, markdown.OneLine(l))
	}
	return strings.Join(lines, "\n")
}
