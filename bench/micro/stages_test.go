package micro

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stepbench/bench/micro/microtest"
)

func TestSteady(t *testing.T) {
	cost := microtest.Cost{Base: 2 * time.Millisecond, Drift: 0.01} // 2 % over three windows
	opt := testOptions(StandardRules())
	opt.Attribution, opt.Rules.MaxRounds = false, 6
	flags := mustRun(t, microtest.New(cost, 1), "q1s64", opt).Cells[0].Flags
	if !slices.Contains(flags, FlagNotSteady) {
		t.Errorf("a drifting device passed for steady: %v", flags)
	}
	cost.Drift = 0.001
	flags = mustRun(t, microtest.New(cost, 1), "q1s64", opt).Cells[0].Flags
	if slices.Contains(flags, FlagNotSteady) {
		t.Errorf("a steady device did not pass: %v", flags)
	}

	tests := []struct {
		name    string
		windows []window
		want    bool
	}{
		{"equal", []window{{wallNs: 1000}, {wallNs: 1004, endNs: 1e9}, {wallNs: 1000, endNs: 2e9}}, true},
		{"wall", []window{{wallNs: 1000}, {wallNs: 1006, endNs: 1e9}, {wallNs: 1000, endNs: 2e9}}, false},
		{"clock", []window{{1000, Conditions{SMClockMHz: 1980}, 0}, {1000, Conditions{SMClockMHz: 1950}, 1e9}, {1000, Conditions{SMClockMHz: 1980}, 2e9}}, false},
		{"nearly the same clock", []window{{1000, Conditions{SMClockMHz: 1980}, 0}, {1000, Conditions{SMClockMHz: 1965}, 1e9}, {1000, Conditions{SMClockMHz: 1980}, 2e9}}, true},
		{"warming", []window{{1000, Conditions{TemperatureC: 40}, 0}, {1000, Conditions{TemperatureC: 40}, 1e9}, {1000, Conditions{TemperatureC: 41}, 2e9}}, false},
	}
	for _, tt := range tests {
		if got := steady(tt.windows); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// A prefill and a decode cell of the same batch and context warm up in one
// script; long steps run once.
func TestWarmUp(t *testing.T) {
	type warm struct {
		Cell  string
		Roles []Role
	}
	var got []warm
	res := mustRun(t, microtest.New(microtest.Cost{Base: time.Millisecond, CtxToken: 500 * time.Microsecond}, 1), "q64,q1000,2q1s64,q1s64,q1s1000", testOptions(QuickRules()))
	for _, s := range res.Steps {
		if s.Stage != WarmUp {
			continue
		}
		if n := len(got); n == 0 || got[n-1].Cell != s.Cell {
			got = append(got, warm{Cell: s.Cell})
		}
		got[len(got)-1].Roles = append(got[len(got)-1].Roles, s.Role)
	}
	pair := []Role{RoleSetup, RoleMeasure, RoleMeasure, RoleCleanup}
	decode := []Role{RoleSetup, RoleSettle, RoleSettle, RoleMeasure, RoleCleanup}
	want := []warm{
		{"q1s64", pair}, {"q64", []Role{RoleMeasure, RoleCleanup}},
		{"q1s1000", pair}, // a prefill of 500 ms is not repeated
		{"2q1s64", slices.Concat(decode, decode)},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// The first burst of a cell is not counted where steps are short.
func TestBurstsDiscarded(t *testing.T) {
	cost := microtest.Cost{Base: time.Millisecond, CtxToken: 500 * time.Microsecond}
	res := mustRun(t, microtest.New(cost, 1), "q1000,q64,2q1000,q1s64", testOptions(QuickRules()))
	bursts := map[string][]int{}
	for _, s := range res.Steps {
		if s.Stage == Attribution && s.Role == RoleMeasure && !slices.Contains(bursts[s.Cell], s.Round) {
			bursts[s.Cell] = append(bursts[s.Cell], s.Round)
		}
	}
	want := map[string][]int{"q1000": {0, 1}, "q64": {0, 1}, "2q1000": {1}, "q1s64": {0, 1}}
	if diff := cmp.Diff(want, bursts); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, c := range res.Cells {
		if c.Device == nil || c.Device.Bursts != 1 {
			t.Errorf("%s: %+v", c.Cell.Name(), c.Device)
		}
	}
}
