package figure

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/color"
	"image/png"
	"io"
	"strings"
	"testing"
)

func share(x float64) *float64 { return &x }

func sampleHeatmap() Heatmap {
	h := Heatmap{
		Title: "Step time and idle share, gpt2",
		Notes: []string{"NVIDIA H200, bfloat16, vLLM 0.26.0", "median over 6 rounds of at least 32 steps"},
	}
	decode, prefill := HeatPanel{Title: "decode"}, HeatPanel{Title: "prefill"}
	for i, batch := range []int{1, 8, 32, 128} {
		for k, context := range []int{128, 512, 896} {
			ns := 1.5e6 * (1 + 0.3*float64(i)) * (1 + 0.1*float64(k))
			decode.Cells = append(decode.Cells, HeatCell{Batch: batch, Context: context, StepNs: ns, IdleFrac: share(0.7 / float64(1+i+k))})
			if batch < 128 {
				prefill.Cells = append(prefill.Cells, HeatCell{Batch: batch, Context: context, StepNs: float64(batch*context) * 2e3, IdleFrac: share(0.2 / float64(batch))})
			}
		}
	}
	decode.Cells[11] = HeatCell{Batch: 128, Context: 896, Mark: "refused"}
	decode.Cells[4].Mark = "INVALID"
	decode.Cells[7].IdleFrac = nil
	prefill.Cells = prefill.Cells[:8]
	h.Panels = []HeatPanel{decode, prefill}
	return h
}

func TestHeatmapPNG(t *testing.T) {
	var b bytes.Buffer
	if err := sampleHeatmap().PNG(&b); err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(&b)
	if err != nil {
		t.Fatal(err)
	}
	// Two panels of three columns and four rows, at two dots a point.
	wantX := 2 * (2*(heatLeft+heatRight) + 6*heatCellWidth)
	wantY := 2 * (heatHead + heatTop + 4*heatCellHeight + heatBottom + heatKey + 2*heatNote + 6)
	if got := img.Bounds(); got.Dx() != wantX || got.Dy() != wantY {
		t.Errorf("%d x %d dots, want %d x %d", got.Dx(), got.Dy(), wantX, wantY)
	}
	// The lightest and the darkest shade are there: the scale spans the values.
	found := map[color.RGBA]bool{}
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			r, g, b, a := img.At(x, y).RGBA()
			found[color.RGBA{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8), uint8(a >> 8)}] = true
		}
	}
	if first, last := shades[0], shades[len(shades)-1]; !found[first] || !found[last] {
		t.Errorf("lightest shade %v, darkest %v", found[first], found[last])
	}
}

// texts are the text elements of an SVG document.
func texts(t *testing.T, data []byte) []string {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(data))
	var out []string
	for inside := false; ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("the SVG is not well formed: %v", err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			inside = token.Name.Local == "text"
		case xml.EndElement:
			inside = false
		case xml.CharData:
			if inside {
				out = append(out, strings.TrimSpace(string(token)))
			}
		}
	}
}

func TestHeatmapSVG(t *testing.T) {
	var b bytes.Buffer
	if err := sampleHeatmap().SVG(&b); err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, s := range texts(t, b.Bytes()) {
		count[s]++
	}
	want := map[string]int{
		"Step time and idle share, gpt2": 1, "decode": 1, "prefill": 1,
		"context (tokens)": 2, "batch (requests)": 2, "128": 3, "896": 2, "32": 2,
		"1.50 ms": 1, "32.8 ms": 1, "256 µs": 2, // in the cell and at the scale's end
		"32.8 ms a step (log scale)": 1, "device busy, the rest idle": 1,
		"idle 70 %": 1, "idle 23 %, INVALID": 1, "refused": 1, "no data": 1,
		"median over 6 rounds of at least 32 steps": 1,
	}
	for text, n := range want {
		if count[text] != n {
			t.Errorf("%q stands %d times, want %d", text, count[text], n)
		}
	}
}

// The shades are ordered by brightness alone, and ink stands out on each.
func TestHeatmapGreyscale(t *testing.T) {
	last := 256
	for i := range 101 {
		shade := shadeAt(float64(i) / 100)
		y := int(color.GrayModel.Convert(shade).(color.Gray).Y)
		if y > last {
			t.Errorf("at %d %% of the scale the brightness rises from %d to %d", i, last, y)
		}
		last = y
		ink := int(color.GrayModel.Convert(inkOn(shade)).(color.Gray).Y)
		if contrast := max(y-ink, ink-y); contrast < 110 {
			t.Errorf("at %d %% of the scale ink differs by %d of 255", i, contrast)
		}
	}
	one := heatScale{min: 5, max: 5}
	if one.shade(5) != shadeAt(0) {
		t.Errorf("a single value has the shade %v", one.shade(5))
	}
}

func TestHeatmapErrors(t *testing.T) {
	if err := (Heatmap{}).PNG(io.Discard); err == nil || err.Error() != "the heat map has no panels" {
		t.Errorf("no panels: %v", err)
	}
	empty := Heatmap{Panels: []HeatPanel{{Title: "decode"}}}
	if err := empty.SVG(io.Discard); err == nil || err.Error() != `panel "decode" of the heat map has no cells` {
		t.Errorf("no cells: %v", err)
	}
}

func TestDuration(t *testing.T) {
	tests := map[float64]string{
		1: "1.00 ns", 999.4: "999 ns", 999.9: "1.00 µs", 1234: "1.23 µs", 99_940: "99.9 µs", 123_456: "123 µs",
		999_960: "1.00 ms", 1.74e6: "1.74 ms", 32.8e6: "32.8 ms", 2.5e9: "2.50 s", 123e9: "123 s",
	}
	for ns, want := range tests {
		if got := Duration(ns); got != want {
			t.Errorf("%g ns is %q, want %q", ns, got, want)
		}
	}
}
