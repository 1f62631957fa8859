package encode

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/perf/benchfmt"

	"stepbench/bench/abtest"
	"stepbench/bench/abtest/numerics"
)

// hostileComparison has the text wherever text comes from data.
func hostileComparison(t testing.TB, hostile string) *Comparison {
	c := lab(t, labSpec{
		plan: "standard", platform: "cuda", cells: []string{hostile}, launches: 4, target: []string{hostile},
		kernels: []kernelSpec{{hostile, 30, 100, 0.5}, {"gemm", 60, 900, 0}},
		renamed: map[string]string{"gemm": "gemm " + hostile},
		outputs: numerics.Report{Status: numerics.NotChecked, Reasons: []string{hostile}},
		alter: func(ev *abtest.Evidence) {
			ev.Sides[abtest.ArmA].Name, ev.Sides[abtest.ArmB].Name = hostile, "b "+hostile
			ev.Sides[abtest.ArmB].Variant.Ops = []string{hostile}
			ev.Model.Name, ev.Plan.Name = hostile, hostile
			for i := range ev.Launches {
				l := &ev.Launches[i]
				l.Bursts[0].Drop = hostile
				for w := range l.Info {
					l.Info[w].Device, l.Info[w].Env = hostile, map[string]string{hostile: hostile}
				}
			}
		},
	})
	c.Result.Reason, c.Result.Flags, c.Result.NeverRan = hostile, append(c.Result.Flags, hostile), []string{hostile}
	c.Result.Gates = []abtest.Gate{{Name: hostile, Rule: hostile, Status: abtest.Flag, Detail: hostile}}
	c.Evidence.Failure = &abtest.Failure{Launch: 1, During: hostile, Reason: hostile, Log: []string{hostile, "```", "````", "``\x1b``\x1b`"}}
	c.Command, c.Version, c.Setup = hostile, hostile, []Fact{{hostile, hostile}}
	return c
}

func TestHostilePage(t *testing.T) {
	text := string(encode(t, HTML, hostileComparison(t, hostile)))
	titles := 0
	for _, e := range elements(t, text) {
		switch e.Name.Local {
		case "script", "img", "a", "b":
			t.Errorf("data became <%s>", e.Name.Local)
		}
		for _, a := range e.Attr {
			if strings.HasPrefix(a.Name.Local, "on") {
				t.Errorf("data became attribute %s", a.Name.Local)
			}
			if a.Name.Local == "title" && strings.Contains(a.Value, "<script>alert(1)</script>|") {
				titles++ // whole, where the text beside it was cut or cleaned
			}
		}
	}
	if titles == 0 {
		t.Errorf("no title has the whole name")
	}
	if strings.Contains(text, "<script") {
		t.Errorf("the page has a script")
	}
}

var (
	escaped = regexp.MustCompile(`\\.`)
	ours    = regexp.MustCompile(`</?(details|summary)>`)
)

// In both Markdown formats nothing breaks out of its line, its cell or its code.
func TestHostileMarkdown(t *testing.T) {
	for _, f := range []Format{Markdown, PullRequest} {
		t.Run(string(f), func(t *testing.T) {
			checkMarkdown(t, string(encode(t, f, hostileComparison(t, hostile))))
		})
	}
}

func checkMarkdown(t *testing.T, text string) {
	fence, columns := "", 0
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if strings.ContainsAny(line, "\r\x1b\u202e") && fence == "" {
			t.Errorf("control characters in %q", line)
		}
		switch {
		case fence != "":
			if line == fence {
				fence = ""
			}
			continue
		case strings.HasPrefix(line, "```"):
			fence = strings.TrimRight(line, "sh")
			continue
		}
		if !strings.HasPrefix(line, "|") {
			columns = 0
		} else {
			// Bars split a row before its code is looked at.
			n := strings.Count(escaped.ReplaceAllString(line, ""), "|")
			if columns == 0 {
				columns = n
			}
			if n != columns {
				t.Errorf("%d bars, the head has %d: %s", n, columns, line)
			}
		}
		bare := ours.ReplaceAllString(withoutCode(line), "")
		if strings.ContainsAny(bare, "<>`") {
			t.Errorf("markup in %q", line)
		}
	}
	if fence != "" {
		t.Errorf("a block is not closed by %s", fence)
	}
}

// withoutCode is the text of a line outside code and escapes, and the backtick
// of code that does not end.
func withoutCode(line string) string {
	var text strings.Builder
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '\\':
			i++
		case '`':
			end := strings.IndexByte(line[i+1:], '`')
			if end < 0 {
				return text.String() + "`"
			}
			i += end + 1
		default:
			text.WriteByte(line[i])
		}
	}
	return text.String()
}

// Programs get the names as they were.
func TestHostileData(t *testing.T) {
	c := hostileComparison(t, hostile)
	var doc report
	if err := json.Unmarshal(encode(t, JSON, c), &doc); err != nil {
		t.Fatal(err)
	}
	if k := doc.Result.Cells[0].Kernels[0]; k.NameA != hostile || k.NameB != hostile || doc.Command != hostile {
		t.Errorf("kernel %q and %q, command %q", k.NameA, k.NameB, doc.Command)
	}
	c.Result.Verdict = "SLOWER"
	r := benchfmt.NewReader(bytes.NewReader(encode(t, Benchfmt, c)), "hostile")
	n := 0
	for r.Scan() {
		switch rec := r.Result().(type) {
		case *benchfmt.SyntaxError:
			t.Errorf("syntax error: %v", rec)
		case *benchfmt.Result:
			n++
		}
	}
	if n != 8 {
		t.Errorf("%d samples, want 8", n)
	}
}

func FuzzMarkdownCell(f *testing.F) {
	f.Add(hostile, true)
	f.Add("a`b``c", false)
	f.Add(`back\|slash\`, true)
	f.Fuzz(func(t *testing.T, text string, code bool) {
		cell := say(text)
		if code {
			cell = name(text)
		}
		head := table{Columns: []column{{"kernel", true}, {"µs", false}}, Rows: [][]words{{cell, strong("1")}}}
		checkMarkdown(t, head.markdown())
	})
}
