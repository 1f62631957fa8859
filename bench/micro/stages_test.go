package micro

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stepbench/bench/micro/microtest"
	"stepbench/engine"
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

// Rounds before a change of level are out of the result, and said to be.
func TestDroppedRounds(t *testing.T) {
	p := microtest.New(microtest.DefaultCost(), 1)
	usual, rounds := p.StepTime, 0
	p.StepTime = func(s engine.Step) time.Duration {
		if d := usual(s); rounds > 3 {
			return d
		} else {
			return d * 3 / 2
		}
	}
	opt := testOptions(StandardRules())
	opt.Rules.Steady, opt.Rules.HalfWidth = false, 0 // until the cap
	opt.Progress = func(p Progress) {
		if p.Stage == Timing {
			rounds = p.Round
		}
	}
	c := mustRun(t, p, "4q1s256", opt).Cells[0]
	if c.Dropped != 4 || c.DroppedSteps < 4*32 || c.Rounds[0].Index != 4 || !slices.Contains(c.Flags, "dropped-rounds=4") {
		t.Errorf("%d rounds with %d steps dropped, first kept %d, flags %v", c.Dropped, c.DroppedSteps, c.Rounds[0].Index, c.Flags)
	}
	if got := time.Duration(c.Wall.MedianNs); got != 2400*time.Microsecond {
		t.Errorf("step of %v", got)
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
	want := map[string][]int{"q1000": {0, 1}, "q64": {0, 1, 2}, "2q1000": {1}, "q1s64": {0, 1, 2}}
	if diff := cmp.Diff(want, bursts); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, c := range res.Cells {
		if long := c.Cell.Axes().Context == 1000; c.Device == nil || c.Device.Bursts == 1 != long || c.Device.Idle == nil != long {
			t.Errorf("%s: %+v", c.Cell.Name(), c.Device)
		}
	}
}
