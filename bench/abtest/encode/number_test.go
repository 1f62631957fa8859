package encode

import (
	"math"
	"strings"
	"testing"

	"stepbench/bench/stats"
	"stepbench/internal/decimal"
)

func TestNumbers(t *testing.T) {
	tests := []struct{ name, got, want string }{
		{"minus", decimal.Fixed(-1.234, 2), "−1.23"},
		{"no negative zero", decimal.Fixed(-0.001, 2), "0.00"},
		{"no positive zero", decimal.Signed(0.001, 2), "0.00"},
		{"not a number", decimal.Signed(math.NaN(), 2), decimal.Absent},
		{"infinite", decimal.Signed(math.Inf(1), 2), decimal.Absent},
		{"large µs", micros(1926.44), "1926.4"},
		{"middle µs", micros(78.391), "78.39"},
		{"small µs", micros(1.5), "1.500"},
		{"not measured", micros(0), decimal.Absent},
		{"delta", deltaMicros(-0.4, &stats.Interval{Lo: -0.5, Hi: 0.1}), "−0.400 (−0.500…+0.100)"},
		{"percent", percent(math.Log(1.0408)), "+4.08 %"},
		{"large percent", percent(math.Log(3.5)), "+250 %"},
		{"interval", span(stats.Interval{Lo: math.Log(0.98), Hi: math.Log(1.02)}), "−2.00…+2.00 %"},
		{"margin", plainPercent(math.Log(1.005)), "0.5 %"},
		{"95", level(0.05), "95 %"},
		{"96", level(0.04), "96 %"},
		{"whole calls", calls(30), "30"},
		{"part of a call", calls(1.0 / 3), "0.333"},
		{"seconds", duration(87.4), "87 s"},
		{"minutes", duration(192), "3 min 12 s"},
		{"hours", duration(7260), "2 h 1 min"},
		{"one", plural(1, "launch", "launches"), "1 launch"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.got != tt.want {
				t.Errorf("got %q, want %q", tt.got, tt.want)
			}
		})
	}
}

func TestShorten(t *testing.T) {
	long := "void cutlass::Kernel2<" + strings.Repeat("x", 100) + ">(Params)"
	if got := shorten(long); len([]rune(got)) != nameWidth || !strings.HasPrefix(got, "void cutlass") || !strings.HasSuffix(got, ">(Params)") {
		t.Errorf("%q", got)
	}
	if got := name(long); got[0].Whole != long || !got[0].Code {
		t.Errorf("%+v", got)
	}
	if got := name("short"); got[0].Text != "short" || got[0].Whole != "" {
		t.Errorf("%+v", got)
	}
}

// Ticks are round, few, and inside the axis.
func TestAxis(t *testing.T) {
	tests := []struct {
		name   string
		values []float64
		labels string
	}{
		{"far from zero", []float64{3.5, 4.2}, "0 +1 +2 +3 +4"},
		{"around zero", []float64{-0.5, 0.5}, "−0.4 −0.2 0.0 +0.2 +0.4"},
		{"nothing", nil, "−1.0 −0.5 0.0 +0.5 +1.0"},
		{"wide", []float64{-38, 112, math.Inf(1)}, "0 +50 +100"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := newAxis(10, 110, tt.values...)
			var labels []string
			last := math.Inf(-1)
			for _, l := range a.labels() {
				labels = append(labels, l.Label)
				if p := float64(l.At); p < 10 || p > 110 || p <= last {
					t.Errorf("tick %s at %v", l.Label, l.At)
				}
				last = float64(l.At)
			}
			if got := strings.Join(labels, " "); got != tt.labels {
				t.Errorf("got %s, want %s", got, tt.labels)
			}
			for _, v := range tt.values {
				if p := a.at(v); !math.IsInf(v, 0) && (p < 10 || p > 110) {
					t.Errorf("%g is at %g, outside", v, p)
				}
			}
		})
	}
	if got := place(-0.04).String(); got != "0" {
		t.Errorf("place %q", got)
	}
}
