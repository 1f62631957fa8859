package workload

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stepbench/engine"
	"stepbench/engine/enginetest"
)

// play executes s on the real loop and a scripted engine. change may alter the
// plan before.
func play(ctx context.Context, t *testing.T, s Spec, step time.Duration, change func(*engine.Plan)) (Input, error) {
	t.Helper()
	e := enginetest.Engine{Fake: &enginetest.Fake{Clock: &enginetest.Clock{}, StepTime: enginetest.Constant(step)}}
	s.Prompts.Vocab = enginetest.Vocab
	plan, err := s.Plan()
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(&plan)
	}
	in := Input{Spec: s}
	err = Run(ctx, e, s, plan, func(b engine.Batch) error {
		in.StartNs = b.StartNs
		in.Requests = append(in.Requests, b.Requests...)
		in.Steps = append(in.Steps, b.Steps...)
		if b.Progress.Total != s.Arrivals.Requests {
			t.Errorf("progress of %d requests, want %d", b.Progress.Total, s.Arrivals.Requests)
		}
		return nil
	})
	return in, err
}

// endless has request id never end by itself.
func endless(id int) func(*engine.Plan) {
	return func(p *engine.Plan) { p.Arrivals[id].Sampling.MaxTokens = math.MaxInt32 }
}

// TestTailUntilMeasuredEnd: requests go on arriving until the measured ones
// have ended, and no longer.
func TestTailUntilMeasuredEnd(t *testing.T) {
	s := standard(t, 100, 20, nil) // at 10/s, of 64 tokens: 0.64 s each
	if s.TailRequests != 300 {
		t.Fatalf("tail of %d, want 30 s of arrivals", s.TailRequests)
	}
	in, err := play(context.Background(), t, s, 10*time.Millisecond, nil)
	if err != nil {
		t.Fatal(err)
	}
	sum := Summarize(in)
	c := sum.Counts
	if c.Completed != 100 || c.Measured != 80 || c.Censored != 0 || c.Interrupted != 0 {
		t.Errorf("counts %+v", c)
	}
	// 0.65 s of arrivals, and at most a batch and its way more.
	if c.Tail < 6 || c.Tail > 9 {
		t.Errorf("%d requests after the window, want 6 to 9", c.Tail)
	}
	// The last measured request met as many others as those before it.
	last := 0
	for _, step := range in.Steps {
		if end := in.StartNs + 10.3e9; step.EnterNs > int64(end) && step.EnterNs < int64(end)+200e6 && step.GenReqs > 0 {
			last = max(last, int(step.GenReqs))
		}
	}
	if last < 6 {
		t.Errorf("at most %d requests decode while the last measured ones end, want 6", last)
	}
	if sum.WholeRun.Seconds > 11 {
		t.Errorf("whole run of %g s: it includes the tail", sum.WholeRun.Seconds)
	}
	if !sum.Valid() || sum.WarmUp == nil || sum.WarmUp.NoSteadyState {
		t.Errorf("gates %+v, warm-up %+v", sum.Gates, sum.WarmUp)
	}
}

// TestNeverEnds: a measured request that does not end is cut off after the
// grace, counted, flagged, and slower than every percentile.
func TestNeverEnds(t *testing.T) {
	tests := []struct {
		name    string
		profile string
		step    time.Duration
		endsS   float64 // after the start
	}{
		{"standard, 30 s", "standard", 10 * time.Millisecond, 10 + 30},
		{"quick, 30 s", ProfileQuick, 10 * time.Millisecond, 10 + 30},
		// 3 × 13 s: 64 steps, and the wait for the first.
		{"standard, long requests", "standard", 200 * time.Millisecond, 10 + 39},
		{"quick, long requests", ProfileQuick, 200 * time.Millisecond, 10 + 39},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := standard(t, 100, 20, func(f *Flags) { f.SLO = &SLO{E2ENs: 1e12} })
			if s.Profile = tt.profile; tt.profile == ProfileQuick {
				s.TailRequests = 0
			}
			in, err := play(context.Background(), t, s, tt.step, endless(50))
			if err != nil {
				t.Fatal(err)
			}
			sum := Summarize(in)
			if c := sum.Counts; c.Censored != 1 || c.Interrupted != 1 || c.Completed != 99 || c.Measured != 80 || c.NotRun != 0 {
				t.Errorf("counts %+v", c)
			}
			end := in.Steps[len(in.Steps)-1].ExitNs - in.StartNs
			near(t, "end, s", float64(end)/1e9, tt.endsS, 0.5)
			if g := sum.Goodput; g.Met != 79 || g.Of != 80 {
				t.Errorf("goodput %+v", g)
			}
			d := latency(t, &sum, "E2E")
			if d.Unfinished != 1 || d.N != 79 || d.MeanNs != nil || d.Percentiles[1].ValueNs == nil {
				t.Errorf("E2E %+v: want a p90, no mean, and one unfinished", d)
			}
			g := gate(t, in, "measured requests ended")
			if want := "1 of 80 cut off and censored: slower than every percentile, failed in goodput"; g.Status != Fail || g.Detail != want || !sum.Valid() {
				t.Errorf("gate %+v, want %q", g, want)
			}
			for i := range in.Requests {
				if r := &in.Requests[i]; r.ID == 50 && SpanOf(s, in.StartNs, in.Requests).Role(r) != RoleCensored {
					t.Errorf("request 50 ended by %s", r.Finish)
				}
			}
		})
	}
}

// TestNothingEnds: without a p99 the grace is 30 s, and in profile quick there
// is no limit but the requests' own.
func TestNothingEnds(t *testing.T) {
	all := func(p *engine.Plan) {
		for i := range p.Arrivals {
			p.Arrivals[i].Sampling.MaxTokens = 10_000 // 100 s
		}
	}
	s := standard(t, 20, 2, nil)
	in, err := play(context.Background(), t, s, 10*time.Millisecond, all)
	if sum := Summarize(in); err != nil || sum.Counts.Censored != 18 || sum.Counts.Completed != 0 {
		t.Errorf("standard: %v, counts %+v", err, sum.Counts)
	}
	s.Profile, s.TailRequests = ProfileQuick, 0
	in, err = play(context.Background(), t, s, 10*time.Millisecond, all)
	if sum := Summarize(in); err != nil || sum.Counts.Censored != 0 || sum.Counts.Completed != 20 {
		t.Errorf("quick: %v, counts %+v", err, sum.Counts)
	}
}

// TestRunIsInterrupted: the caller's reason to stop is not taken for the end.
func TestRunIsInterrupted(t *testing.T) {
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(why)
	if _, err := play(ctx, t, standard(t, 20, 2, nil), time.Millisecond, nil); !errors.Is(err, why) {
		t.Errorf("error %v, want %v", err, why)
	}
}

// TestTailFollows: the arrivals before the tail are those of a plan without, and
// the tail goes on at the rate.
func TestTailFollows(t *testing.T) {
	for _, pattern := range []string{"poisson", "constant", "burst", "gamma", "on-off"} {
		t.Run(pattern, func(t *testing.T) {
			s := standard(t, 97, 20, func(f *Flags) {
				f.Pattern = pattern
				if pattern == "gamma" {
					f.Shape = 2
				}
			})
			with, err := s.Plan()
			if err != nil {
				t.Fatal(err)
			}
			tail := s.TailRequests
			s.TailRequests = 0
			without, err := s.Plan()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(without.Arrivals, with.Arrivals[:97]); diff != "" {
				t.Errorf("before the tail (-without +with)\n%s", diff)
			}
			last := int64(0)
			for i, a := range with.Arrivals {
				if a.OffsetNs < last || a.ID != int64(i) || len(a.Prompt) != 128 {
					t.Fatalf("arrival %d: %d ns after %d, id %d", i, a.OffsetNs, last, a.ID)
				}
				last = a.OffsetNs
			}
			span := float64(last-with.Arrivals[96].OffsetNs) / 1e9
			near(t, "rate of the tail", float64(tail)/span, 10, 4)
		})
	}
}
