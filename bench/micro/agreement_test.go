package micro

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"stepbench/bench/stats"
)

func TestAgree(t *testing.T) {
	run := func(walls ...Wall) *Results {
		res := &Results{}
		for i, w := range walls {
			res.Cells = append(res.Cells, CellResult{Cell: Cell{Batch: Batch{{1, 1, 64 << i}}}, Wall: w})
		}
		return res
	}
	wall := func(lo, median, hi float64) Wall {
		return Wall{MedianNs: median, CI: stats.Interval{Lo: lo, Hi: hi}, CIMethod: IntervalStudent}
	}
	tests := []struct {
		name string
		a, b *Results
		want Agreement
	}{
		{"overlap and touch", run(wall(90, 100, 110), wall(90, 100, 110)), run(wall(105, 115, 120), wall(110, 115, 120)), Agreement{Cells: 2, Agree: 2}},
		{"one inside the other", run(wall(90, 100, 110)), run(wall(99, 100, 101)), Agreement{Cells: 1, Agree: 1}},
		{"apart", run(wall(90, 100, 110), wall(1, 2, 3)), run(wall(120, 125, 130), wall(1, 2, 3)),
			Agreement{Cells: 2, Agree: 1, Apart: []Apart{{"q1s64", 1.25}}}},
		{"without an interval", run(Wall{MedianNs: 100}, wall(1, 2, 3)), run(wall(90, 100, 110), Wall{MedianNs: 2}), Agreement{}},
		{"in one run only", run(wall(90, 100, 110)), run(wall(90, 100, 110), wall(1, 2, 3)), Agreement{Cells: 1, Agree: 1}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, Agree(tt.a, tt.b)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", tt.name, diff)
		}
	}
}
