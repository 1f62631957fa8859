package analysis

import (
	"fmt"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestScalingVector is a worked example: throughputs of 1.53, 2.43 and 3.51 on
// one, two and four devices.
func TestScalingVector(t *testing.T) {
	g := load{}
	for i, n := range []int{1, 2, 4} {
		g.at = append(g.at, throughput{devices: n, value: Value{V: []float64{1.53, 2.43, 3.51}[i]}})
	}
	rows := g.rows()
	round := func(x float64) float64 { return math.Round(1e3*x) / 1e3 }
	for i, want := range []struct{ efficiency, karpFlatt float64 }{{1, 0}, {0.794, 0.259}, {0.574, 0.248}} {
		r := rows[i]
		if round(r.Efficiency.V) != want.efficiency {
			t.Errorf("%d devices: efficiency %g, want %g", r.Devices, r.Efficiency.V, want.efficiency)
		}
		if i > 0 && round(r.KarpFlatt.V) != want.karpFlatt {
			t.Errorf("%d devices: serial share %g, want %g", r.Devices, r.KarpFlatt.V, want.karpFlatt)
		}
		if round(r.Amdahl.V) != 0.251 || math.Round(100/r.Amdahl.V)/100 != 3.98 {
			t.Errorf("f %g, largest speed-up %g", r.Amdahl.V, 1/r.Amdahl.V)
		}
		if r.SpeedUp.CI != nil || r.Indicative {
			t.Errorf("row %+v", r)
		}
	}
	if rows[0].KarpFlatt != nil {
		t.Errorf("a serial share of one device: %+v", rows[0].KarpFlatt)
	}
}

// TestScalingFromTwo: the smallest number that fits is the base.
func TestScalingFromTwo(t *testing.T) {
	g := load{at: []throughput{
		{devices: 2, value: Value{V: 10}, repeats: []float64{9, 10, 11}},
		{devices: 8, value: Value{V: 30}, repeats: []float64{27, 30, 33}},
	}}
	rows := g.rows()
	if r := rows[1]; r.SpeedUp.V != 3 || r.Efficiency.V != 0.75 || !r.Indicative || r.SpeedUp.CI == nil || r.SpeedUp.CI.Lo != 3 {
		t.Errorf("row %+v with interval %+v: paired repeats have one ratio", r, r.SpeedUp.CI)
	}
}

// TestScalingByWays: one device is the start of each way of spreading a model, also
// of both together.
func TestScalingByWays(t *testing.T) {
	l := &loader{a: &Analysis{}}
	for _, p := range [][2]int{{1, 1}, {2, 1}, {1, 2}, {2, 2}} {
		devices := p[0] * p[1]
		l.a.Points = append(l.a.Points, Point{
			Model: "m", Dataset: "d", Pattern: "offline", TP: p[0], PP: p[1], Devices: devices, OutputTokens: &Value{V: float64(10 * devices)},
		})
		l.runs = append(l.runs, nil)
	}
	var got []string
	for _, s := range l.scaling() {
		got = append(got, fmt.Sprintf("%s %d %g", s.Label, s.Devices, s.Efficiency.V))
	}
	want := []string{
		"m d, offline, tensor parallel 1 1", "m d, offline, tensor parallel 2 1",
		"m d, offline, pipeline parallel 1 1", "m d, offline, pipeline parallel 2 1",
		"m d, offline, tensor and pipeline parallel 1 1", "m d, offline, tensor and pipeline parallel 4 1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
