package workload

import (
	"slices"
	"strings"
	"testing"

	"stepbench/bench/workload/workloadtest"
	"stepbench/engine"
)

func TestGates(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Input)
		gate   string
		want   Status
		detail string
		valid  bool
	}{
		{"untouched", func(*Input) {}, "generator on time", Pass, "p99 0 ms, limit 23 ms", true},
		{"generator late", func(in *Input) { each(in, func(r *engine.RequestResult) { r.AdmitNs += 40e6 }) },
			"generator on time", Fail, "p99 40 ms, limit 23 ms", false},
		{"no steps", func(in *Input) { in.Steps = nil }, "generator on time", Unknown, "", true},
		{"output cut short", func(in *Input) { in.Requests[7].OutputTokens-- }, "planned lengths", Fail, "1 of 20", false},
		{"prompt cut short", func(in *Input) { in.Requests[7].PromptTokens-- }, "planned lengths", Fail, "1 of 20", false},
		{"clocks mixed", func(in *Input) { in.Requests[3].ScheduledNs = in.Requests[3].ArrivalNs - 1 },
			"stamps in order", Fail, "1 of 20", false},
		{"stamp never set", func(in *Input) { in.Requests[3].FirstTokenNs = 0 }, "stamps complete", Fail, "1 of 20", true},
		{"stamp never set is not out of order", func(in *Input) { in.Requests[3].FirstTokenNs = 0 }, "stamps in order", Pass, "", true},
		{"time in no component", func(in *Input) {
			for i := range in.Steps {
				in.Steps[i].ExecuteNs -= in.Steps[i].WallNs() / 20
			}
		}, "steps accounted for", Fail, "5.4", true},
		{"components overlap", func(in *Input) {
			for i := range in.Steps {
				in.Steps[i].ExecuteNs += in.Steps[i].WallNs() / 20
			}
		}, "steps accounted for", Fail, "-4.", true},
		{"preempted", func(in *Input) { in.Steps[5].Preempted = 2 }, "no preemption", Fail, "2 preemptions", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := simulated(t, constant(20, 2), workloadtest.Default())
			tt.change(&in)
			sum := Summarize(in)
			i := slices.IndexFunc(sum.Gates, func(g Gate) bool { return g.Name == tt.gate })
			if i < 0 {
				t.Fatalf("no gate %q", tt.gate)
			}
			if g := sum.Gates[i]; g.Status != tt.want || !strings.Contains(g.Detail, tt.detail) {
				t.Errorf("%s: %s, %q; want %s with %q", g.Name, g.Status, g.Detail, tt.want, tt.detail)
			}
			if sum.Valid() != tt.valid {
				t.Errorf("valid %v, want %v", sum.Valid(), tt.valid)
			}
		})
	}
}

func each(in *Input, change func(*engine.RequestResult)) {
	for i := range in.Requests {
		change(&in.Requests[i])
	}
}

// TestMissingStampIsNotZero: a request without a first token leaves TTFT, and
// is counted.
func TestMissingStampIsNotZero(t *testing.T) {
	in := simulated(t, constant(20, 2), workloadtest.Default())
	clean := Summarize(in)
	in.Requests[3].FirstTokenNs = 0
	sum := Summarize(in)
	d, want := latency(t, &sum, "TTFT"), latency(t, &clean, "TTFT")
	if d.Missing != 1 || d.N != want.N-1 {
		t.Errorf("TTFT of %d requests with %d missing, want %d and 1", d.N, d.Missing, want.N-1)
	}
	near(t, "mean TTFT", d.MeanNs.Value, want.MeanNs.Value, 1)
}
