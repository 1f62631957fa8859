package encode

import (
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stepbench/bench/figure"
)

func TestHeatmap(t *testing.T) {
	res := sample(t)
	h := Heatmap(res)
	type cell struct {
		Batch, Context int
		Mark           string
		Value, Idle    bool
	}
	got := map[string][]cell{}
	for _, p := range h.Panels {
		for _, c := range p.Cells {
			got[p.Title] = append(got[p.Title], cell{c.Batch, c.Context, c.Mark, c.StepNs > 0, c.IdleFrac != nil})
		}
	}
	want := map[string][]cell{
		"decode": {{1, 128, "", true, true}, {8, 128, "", true, true}, {1, 1024, "refused", false, false}, {8, 1024, "refused", false, false}},
		"prefill, 64 prompt tokens a step": {
			{1, 128, "", true, true}, {8, 128, "", true, true}, {3, 32, "INVALID", false, false},
			{1, 1024, "refused", false, false}, {8, 1024, "refused", false, false},
		},
		"mixed, 64 prompt tokens a step": {{1, 128, "", true, true}, {8, 128, "", true, true}, {1, 1024, "refused", false, false}, {8, 1024, "refused", false, false}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got, want := *h.Panels[1].Cells[0].IdleFrac, res.Cells[2].Device.BubbleFrac; got != want {
		t.Errorf("idle share %g, want %g", got, want)
	}
	for _, draw := range []func(figure.Heatmap, io.Writer) error{figure.Heatmap.PNG, figure.Heatmap.SVG} {
		if err := draw(h, io.Discard); err != nil {
			t.Error(err)
		}
	}
}
