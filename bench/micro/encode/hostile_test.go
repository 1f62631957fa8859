package encode

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

// hostile acts as markup in Markdown and SVG, and as a command to a terminal.
const hostile = "</text><script>alert(1)</script>|`x`\n## head\r```\n\x1b[31m\u202e"

// TestHostileText: names by someone else stay text.
func TestHostileText(t *testing.T) {
	res := sample(t)
	res.Model.Name = hostile
	res.Info.Device, res.Info.DType, res.Info.AttentionBackend, res.Info.VLLMVersion = hostile, hostile, hostile, hostile
	for i := range res.Cells {
		if d := res.Cells[i].Device; d != nil && len(d.Rows) > 0 {
			d.Rows[0].Name = hostile
		}
	}
	text := string(encode(t, Markdown, res))
	if strings.ContainsAny(text, "\r\x1b\u202e") || strings.Contains(text, "\n## head") || strings.Contains(text, "```") {
		t.Errorf("a name acts in\n%s", text)
	}
	for line := range strings.Lines(text) {
		if outside := strings.Split(line, "`")[0]; strings.Contains(outside, "<script") {
			t.Errorf("markup in %s", line)
		}
	}
	var svg bytes.Buffer
	if err := Heatmap(res).SVG(&svg); err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(&svg); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "script" {
			t.Error("a name became a script")
		}
	}
}
