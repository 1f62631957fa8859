package report

import (
	"regexp"
	"strings"
	"testing"

	"stepbench/bench/record"
)

// hostile acts as markup in Markdown and as a command to a terminal.
const hostile = "<script>alert(1)</script>|`x`\r\n## head\r# head\n```\n\x1b[31m\u202e\xff"

// TestHostileText: nothing that a record says acts as Markdown, or on a terminal.
func TestHostileText(t *testing.T) {
	rec := newRecord(t, nil)
	spread(rec, 2, 1)
	m := &rec.Manifest
	m.Command, m.State, m.Error, m.Warnings, m.Args = hostile, record.Failed, hostile, []string{hostile}, []string{hostile}
	m.Tool, m.Host = record.Tool{Version: hostile, Commit: hostile, Go: hostile}, record.Host{OS: hostile, Arch: hostile, Kernel: hostile, CPUModel: hostile}
	m.Engine.Model.Name, m.Engine.Model.Shape.Architecture, m.Workload.Dataset, m.Workload.Profile, m.Workload.StandIn = hostile, hostile, hostile, hostile, hostile
	i := m.Info
	i.Device, i.VLLMVersion, i.TorchVersion, i.PythonVersion, i.DType, i.AttentionBackend, i.GraphMode = hostile, hostile, hostile, hostile, hostile, hostile, hostile
	i.Platform = "cuda"
	i.Ranks[0].DeviceUUID = hostile
	rec.Notes = []string{hostile}
	text := Markdown(rec)
	for _, of := range []string{text, Brief(rec)} {
		if strings.ContainsAny(of, "\x1b\u202e") || strings.Contains(of, "\xff") {
			t.Errorf("characters that a terminal obeys are in\n%s", of)
		}
	}
	outside := outsideCode(text)
	if strings.Contains(outside, "<script") || strings.Contains(outside, "```") || regexp.MustCompile(`(?m)^#+ head`).MatchString(outside) || strings.Contains(outside, "\r") {
		t.Errorf("text of the record acts as markup in\n%s", outside)
	}
	width := 0
	for line := range strings.Lines(outside) {
		n := strings.Count(line, "|") - strings.Count(line, `\|`)
		if !strings.HasPrefix(line, "|") {
			width = 0
		} else if width == 0 {
			width = n
		} else if n != width {
			t.Errorf("%d bars, the head has %d: %s", n, width, line)
		}
	}
}

// outsideCode is the Markdown that is neither in a fence nor indented.
func outsideCode(text string) string {
	var out strings.Builder
	fence := ""
	for line := range strings.Lines(text) {
		bare := strings.TrimRight(line, "\n")
		switch {
		case fence != "":
			if bare == fence {
				fence = ""
			}
		case strings.HasPrefix(bare, "```"):
			fence = strings.TrimSuffix(bare, "sh")
		case !strings.HasPrefix(bare, "    "):
			out.WriteString(line)
		}
	}
	return out.String() + fence // one that does not end
}
