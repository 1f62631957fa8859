package capacity

import (
	"math"
	"strings"
	"testing"

	"stepbench/engine"
)

func TestReadCells(t *testing.T) {
	const good = `{"model":"gpt2","phase":"decode","batch":8,"context":512,"chunk":0,"wall_us":{"median":1653.1},"device_busy_us":527.5}`
	tests := []struct{ name, text, wantErr string }{
		{"a decode", good, ""},
		{"others are skipped", good + "\n" + strings.Replace(good, "527.5", "null", 1) + "\n\n" + strings.Replace(good, `"chunk":0`, `"chunk":64`, 1) + "\n" + strings.Replace(good, "decode", "mixed", 1), ""},
		{"no device time", strings.Replace(good, "527.5", "null", 1), "--no-attribution"},
		{"empty", "", "--no-attribution"},
		{"not JSON", good + "\nx", "line 2"},
		{"another file", `{"a":1}`, "stepbench steps"},
	}
	for _, tt := range tests {
		got, err := ReadCells(strings.NewReader(tt.text))
		switch {
		case tt.wantErr == "" && (err != nil || len(got) != 1 || got[0].Shape != Shape{8, 1, 512} || got[0].BusyS != 527.5e-6):
			t.Errorf("%s: %+v, %v", tt.name, got, err)
		case tt.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tt.wantErr)):
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.wantErr)
		}
	}
}

func FuzzReadCells(f *testing.F) {
	f.Add(`{"model":"gpt2","phase":"prefill","batch":1,"context":9,"wall_us":{"median":2},"device_busy_us":1}`)
	f.Add("{}\n\n[")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ReadCells(strings.NewReader(text))
		if (err == nil) != (len(got) > 0) {
			t.Fatalf("%d cells, %v", len(got), err)
		}
		for _, c := range got {
			if !(c.BusyS > 0 && c.WallS >= c.BusyS && c.Batch > 0 && c.Context > 0) {
				t.Fatalf("%+v", c)
			}
		}
	})
}

// TestFit finds the floor and the efficiency that times were made from, and the
// host's part of neighbours.
func TestFit(t *testing.T) {
	d := Device{Name: "x", BytesPerS: 1e12, FLOPPerS: 1e14}
	models := map[string]*engine.ModelShape{"m": &grouped}
	var cells []Cell
	for _, batch := range []int{1, 8, 64} {
		for _, context := range []int{128, 4096} {
			x := Shape{batch, 1, context}
			busy := 30*20e-6 + Layout{1, 1}.ideal(&grouped, d, 2, 0, x)/0.8
			cells = append(cells, Cell{"m", x, busy + float64(batch)*1e-3, busy})
		}
	}
	m, err := NewMeasured(cells, d, 2, models)
	if err != nil {
		t.Fatal(err)
	}
	if p := m.decode; math.Abs(p.floorS-20e-6) > 1e-9 || math.Abs(p.perIdeal-1.25) > 1e-6 || math.Abs(p.spread[0]-1) > 1e-6 || math.Abs(p.spread[1]-1) > 1e-6 {
		t.Errorf("fit: %v s a layer, 1/%v, spread %v", p.floorS, 1/p.perIdeal, p.spread)
	}
	for tokens, want := range map[float64][2]float64{1: {1e-3, 8e-3}, 4: {1e-3, 8e-3}, 8: {1e-3, 64e-3}, 100: {64e-3, 64e-3}} {
		if least, most := m.decode.host(tokens); math.Abs(least-want[0]) > 1e-9 || math.Abs(most-want[1]) > 1e-9 {
			t.Errorf("host at %v tokens: %v to %v, want %v", tokens, least, most, want)
		}
	}
	if r := (Rater{Model: &grouped, Device: d, Element: 2, Measured: m}); r.Prefill(Layout{1, 1}, 128).High != 0 {
		t.Error("prefills are expected from decodes")
	}
	if _, err := NewMeasured(cells, Device{Name: "80GiB"}, 2, models); err == nil {
		t.Error("efficiency on a device without a bandwidth")
	}
	if _, err := NewMeasured(cells, d, 2, nil); err == nil {
		t.Error("efficiency of a model without a shape")
	}
}
