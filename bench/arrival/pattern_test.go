package arrival

import (
	"math"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, p := range Patterns() {
		got, err := Parse(string(p))
		if err != nil || got != p {
			t.Errorf("Parse(%q) = %q, %v", p, got, err)
		}
	}
	for _, name := range []string{"", "Poisson", "uniform", "closed", "trace"} {
		_, err := Parse(name)
		if err == nil || !strings.Contains(err.Error(), "poisson, constant, burst, gamma, on-off, offline") {
			t.Errorf("Parse(%q): error %v, want one that lists the patterns", name, err)
		}
	}
}

func TestValidate_Errors(t *testing.T) {
	ok := Spec{Pattern: Poisson, Requests: 10, RatePerS: 2}
	if err := ok.Validate(); err != nil {
		t.Fatalf("valid spec refused: %v", err)
	}
	tests := []struct {
		name string
		spec Spec
		want []string // each in the error
	}{
		{"no pattern", Spec{Requests: 1, RatePerS: 1}, []string{`unknown arrival pattern ""`}},
		{"everything wrong", Spec{Pattern: Poisson, RatePerS: -1, BurstSize: -3, Shape: 2},
			[]string{"0 requests", "rate -1", "burst size -3", "shape 2 with pattern poisson"}},
		{"rate not a number", Spec{Pattern: Poisson, Requests: 1, RatePerS: math.NaN()}, []string{"rate NaN"}},
		{"infinite rate", Spec{Pattern: Constant, Requests: 1, RatePerS: math.Inf(1)}, []string{"use pattern offline"}},
		{"too long", Spec{Pattern: Constant, Requests: 1e6, RatePerS: 0.1}, []string{"116 days", "raise the rate"}},
		{"offline with rate", Spec{Pattern: Offline, Requests: 1, RatePerS: 2}, []string{"rate 2 with pattern offline"}},
		{"gamma without shape", Spec{Pattern: Gamma, Requests: 1, RatePerS: 1}, []string{"gamma shape 0"}},
		{"gamma shape not a number", Spec{Pattern: Gamma, Requests: 1, RatePerS: 1, Shape: math.NaN()}, []string{"gamma shape NaN"}},
		{"closed with rate", Spec{Pattern: Closed, Requests: 1, RatePerS: 2}, []string{"rate 2 with pattern closed"}},
		{"periods without on-off", Spec{Pattern: Poisson, Requests: 1, RatePerS: 1, OnS: 1}, []string{"on 1 s, off 0 s with pattern poisson"}},
		{"never on", Spec{Pattern: OnOff, Requests: 1, RatePerS: 1, OffS: 1}, []string{"on 0 s, off 1 s: each must be at least"}},
		{"periods not numbers", Spec{Pattern: OnOff, Requests: 1, RatePerS: 1, OnS: math.NaN(), OffS: math.Inf(1)}, []string{"on NaN s, off +Inf s"}},
		{"time scale without a trace", Spec{Pattern: Poisson, Requests: 1, RatePerS: 1, TimeScale: 2}, []string{"belongs to a trace"}},
		{"trace whose times are unknown", Spec{Pattern: Trace, Requests: 1}, []string{"the times of a trace are in its file"}},
		{"negative time scale", Spec{Pattern: Trace, Requests: 1, TimeScale: -1}, []string{"time scale -1"}},
		{"burst size without burst", Spec{Pattern: Gamma, Requests: 1, RatePerS: 1, Shape: 1, BurstSize: 4}, []string{"belongs to pattern burst"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			offsets, err := Schedule(tt.spec)
			if err == nil || offsets != nil {
				t.Fatalf("Schedule = %v, %v, want an error", offsets, err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q lacks %q", err, want)
				}
			}
		})
	}
}
