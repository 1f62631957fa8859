package micro

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stepbench/bench/micro/microtest"
	"stepbench/engine"
)

func TestFlags(t *testing.T) {
	small := func(mutate func(*microtest.Player, *Options)) CellResult {
		p, opt := microtest.New(microtest.DefaultCost(), 1), testOptions(QuickRules())
		p.BusyFrac = 0.99
		p.Slowdown = 1
		mutate(p, &opt)
		return mustRun(t, p, "4q1s256", opt).Cells[0]
	}
	steps := 0
	every := func(n int, do func(*engine.Step)) func(engine.Op, *engine.Step) {
		steps = 0
		return func(_ engine.Op, s *engine.Step) {
			if steps++; steps%n == 0 {
				do(s)
			}
		}
	}
	counting := func(field func(*Conditions) *int64) func(context.Context) (Conditions, error) {
		var c Conditions
		return func(context.Context) (Conditions, error) { *field(&c)++; return c, nil }
	}
	tests := []struct {
		name    string
		mutate  func(*microtest.Player, *Options)
		want    []string
		valid   bool
		discard map[string]int
	}{
		{"none", func(*microtest.Player, *Options) {}, []string{"quick"}, true, map[string]int{}},
		{"standard", func(_ *microtest.Player, o *Options) { o.Rules = StandardRules() }, nil, true, map[string]int{}},
		{"a few mismatches", func(p *microtest.Player, _ *Options) { p.Alter = every(31, func(s *engine.Step) { s.CtxTokens++ }) },
			[]string{"discarded=mismatch:1", "quick"}, true, map[string]int{"mismatch": 1}},
		{"mismatches", func(p *microtest.Player, _ *Options) { p.Alter = every(3, func(s *engine.Step) { s.GenReqs-- }) },
			[]string{"INVALID", "discarded=mismatch:9", "unprofiled", "quick"}, false, map[string]int{"mismatch": 9}},
		{"preemption", func(p *microtest.Player, _ *Options) { p.Alter = every(1, func(s *engine.Step) { s.Preempted = 1 }) },
			[]string{"INVALID", "discarded=preemption:48", "quick"}, false, map[string]int{"preemption": 48}},
		{"throttled", func(_ *microtest.Player, o *Options) {
			o.Conditions = counting(func(c *Conditions) *int64 { return &c.Throttles })
		},
			[]string{"INVALID", "discarded=throttled:48", "quick"}, false, map[string]int{"throttled": 48}},
		{"gc", func(_ *microtest.Player, o *Options) {
			o.Conditions = counting(func(c *Conditions) *int64 { return &c.Collections })
		},
			[]string{"INVALID", "discarded=gc:48", "quick"}, false, map[string]int{"gc": 48}},
		{"jit", func(_ *microtest.Player, o *Options) {
			o.Conditions = counting(func(c *Conditions) *int64 { return &c.Compiles })
		},
			[]string{"INVALID", "discarded=jit:48", "quick"}, false, map[string]int{"jit": 48}},
		{"major faults", func(_ *microtest.Player, o *Options) {
			o.Conditions = counting(func(c *Conditions) *int64 { return &c.MajorFaults })
		},
			[]string{"INVALID", "discarded=major-fault:48", "quick"}, false, map[string]int{"major-fault": 48}},
		{"graph misses", func(p *microtest.Player, _ *Options) {
			p.About.GraphMode, p.About.MaxGraphTokens = "FULL_AND_PIECEWISE", 512
			p.Alter = every(1, func(s *engine.Step) { s.GraphMode = engine.GraphNone })
		},
			[]string{"graph-miss=24", "quick"}, true, map[string]int{}},
		{"unaccounted", func(p *microtest.Player, _ *Options) {
			p.Alter = every(1, func(s *engine.Step) { s.SampleNs -= s.WallNs() / 50 })
		},
			[]string{"unaccounted", "quick"}, true, map[string]int{}},
		{"host limited", func(p *microtest.Player, _ *Options) { p.BusyFrac = 0.9 }, []string{"host-limited", "quick"}, true, map[string]int{}},
		{"kernels outside the steps", func(p *microtest.Player, _ *Options) { p.Leak = 0.002 }, []string{"unprofiled", "quick"}, true, map[string]int{}},
		{"no attribution", func(_ *microtest.Player, o *Options) { o.Attribution = false }, []string{"quick"}, true, map[string]int{}},
		{"refused by the engine", func(p *microtest.Player, _ *Options) {
			p.Refuse = func(engine.Request) error { return errors.New("no such thing") }
		}, []string{"INVALID", "failed: no such thing", "quick"}, false, map[string]int{}},
		{"unstable", func(p *microtest.Player, o *Options) {
			p.StepTime = microtest.New(microtest.Cost{Base: time.Millisecond, Noise: 0.3}, 1).StepTime
		}, []string{"unstable", "idle-gap=102.6/-46.3", "quick"}, true, map[string]int{}},
		{"slow under the profiler", func(p *microtest.Player, _ *Options) { p.Slowdown = 1.3 }, []string{"profiler=1.30", "quick"}, true, map[string]int{}},
		{"idle gap", func(p *microtest.Player, _ *Options) { p.BusyFrac, p.GapScale = 0.95, 0.7 }, []string{"idle-gap=0.70", "quick"}, true, map[string]int{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := small(tt.mutate)
			if diff := cmp.Diff(tt.want, c.Flags); diff != "" {
				t.Errorf("flags (-want +got)\n%s", diff)
			}
			if c.Valid != tt.valid {
				t.Errorf("valid %v, want %v", c.Valid, tt.valid)
			}
			if diff := cmp.Diff(tt.discard, c.Discarded); diff != "" {
				t.Errorf("discarded (-want +got)\n%s", diff)
			}
		})
	}
}
