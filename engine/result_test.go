package engine_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"stepbench/engine"
	"stepbench/engine/enginetest"
)

func TestPhasesSumToE2E(t *testing.T) {
	f := newFake(10 * time.Millisecond)
	rng := rand.New(rand.NewPCG(1, 2))
	f.StepTime = func(engine.Step) time.Duration { return time.Duration(rng.Int64N(20_000_000)) }
	f.MaxTokens, f.MaxSeqs = 4, 5 // chunks and a queue
	r := mustRun(t, f, engine.Plan{Arrivals: every(7*ms, 60, 5)})
	waited := false
	for id, q := range r.requests {
		queue, ok1 := q.Queue()
		prefill, ok2 := q.Prefill()
		decode, ok3 := q.Decode()
		e2e, ok4 := q.E2E()
		if !ok1 || !ok2 || !ok3 || !ok4 {
			t.Fatalf("request %d lacks a phase", id)
		}
		if queue+prefill+decode != e2e {
			t.Errorf("request %d: %d + %d + %d is not %d", id, queue, prefill, decode, e2e)
		}
		if ttft, _ := q.TTFT(); ttft != queue+prefill {
			t.Errorf("request %d: TTFT %d, want %d", id, ttft, queue+prefill)
		}
		if tpot, ok := q.TPOT(); !ok || tpot != float64(decode)/4 {
			t.Errorf("request %d: TPOT %v, want %v", id, tpot, float64(decode)/4)
		}
		if inside, ok := q.EngineQueue(); !ok || inside > queue {
			t.Errorf("request %d: %d of a queue of %d inside the engine", id, inside, queue)
		} else if inside > 0 {
			waited = true
		}
		if d, ok := q.Delivery(); !ok || d <= 0 {
			t.Errorf("request %d: delivered %d after its last token", id, d)
		}
	}
	if !waited {
		t.Error("no request waited inside the engine: the budgets did nothing")
	}
}

// An event that was never reached makes every time that needs it absent.
func TestAbsentTimes(t *testing.T) {
	whole := engine.RequestResult{
		ArrivalNs: 100, AdmitNs: 110, QueuedNs: 115, ScheduledNs: 120, FirstTokenNs: 150, LastTokenNs: 190,
		DeliveredNs: 195, OutputTokens: 5,
	}
	type method struct {
		name string
		f    func(*engine.RequestResult) (int64, bool)
		want int64
	}
	methods := []method{
		{"admission", (*engine.RequestResult).Admission, 10},
		{"queue", (*engine.RequestResult).Queue, 20},
		{"engine queue", (*engine.RequestResult).EngineQueue, 5},
		{"prefill", (*engine.RequestResult).Prefill, 30},
		{"decode", (*engine.RequestResult).Decode, 40},
		{"ttft", (*engine.RequestResult).TTFT, 50},
		{"e2e", (*engine.RequestResult).E2E, 90},
		{"delivery", (*engine.RequestResult).Delivery, 5},
		{"tpot", func(r *engine.RequestResult) (int64, bool) { v, ok := r.TPOT(); return int64(v), ok }, 10},
	}
	tests := []struct {
		name   string
		clear  func(*engine.RequestResult)
		absent string
	}{
		{"complete", func(*engine.RequestResult) {}, ""},
		{"never admitted", func(r *engine.RequestResult) { r.AdmitNs = 0 }, "admission"},
		{"never queued", func(r *engine.RequestResult) { r.QueuedNs = 0 }, "engine queue"},
		{"never scheduled", func(r *engine.RequestResult) { r.ScheduledNs = 0 }, "queue, engine queue, prefill"},
		{"no first token", func(r *engine.RequestResult) { r.FirstTokenNs = 0 }, "prefill, decode, ttft, tpot"},
		{"no last token", func(r *engine.RequestResult) { r.LastTokenNs = 0 }, "decode, e2e, delivery, tpot"},
		{"not delivered", func(r *engine.RequestResult) { r.DeliveredNs = 0 }, "delivery"},
		{"one token", func(r *engine.RequestResult) { r.OutputTokens = 1 }, "tpot"},
		{"nothing", func(r *engine.RequestResult) { *r = engine.RequestResult{} },
			"admission, queue, engine queue, prefill, decode, ttft, e2e, delivery, tpot"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := whole
			tt.clear(&r)
			absent := ""
			for _, m := range methods {
				got, ok := m.f(&r)
				switch {
				case !ok && absent == "":
					absent = m.name
				case !ok:
					absent += ", " + m.name
				case got != m.want:
					t.Errorf("%s is %d, want %d", m.name, got, m.want)
				}
				if !ok && got != 0 {
					t.Errorf("%s is absent, but %d", m.name, got)
				}
			}
			if absent != tt.absent {
				t.Errorf("absent: %s\nwant: %s", absent, tt.absent)
			}
		})
	}
}

func TestITL(t *testing.T) {
	for _, stamps := range [][]int64{nil, {5}} {
		if gaps := (&engine.RequestResult{TokenNs: stamps}).ITL(); gaps != nil {
			t.Errorf("%v: gaps %v, want none", stamps, gaps)
		}
	}
}

func TestRoundNs(t *testing.T) {
	tests := []struct {
		name    string
		seconds float64
		want    int64
	}{
		{"never reached", 0, 0},
		{"one", 1, 1_000_000_000},
		{"0.1 is no binary fraction", 0.1, 100_000_000},
		{"down", 1.0000000004, 1_000_000_000},
		{"up", 1.0000000006, 1_000_000_001},
		{"ten days of uptime", 864000.123456789, 864000123456789},
		{"just below", math.Nextafter(864000.123456789, 0), 864000123456789},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := engine.RoundNs(tt.seconds); got != tt.want {
				t.Errorf("%v s is %d ns, want %d", tt.seconds, got, tt.want)
			}
		})
	}
}

// Every ns value of CLOCK_MONOTONIC up to a year of uptime comes back from
// float64 seconds unchanged within half of their spacing.
func TestRoundNsOfStamps(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 100_000 {
		want := rng.Int64N(4_000_000_000_000_000) // 46 days: spacing below 1 ns
		if got := engine.RoundNs(float64(want) / 1e9); got != want {
			t.Fatalf("%d ns came back as %d", want, got)
		}
	}
}

func TestStepMethods(t *testing.T) {
	tests := []struct {
		name  string
		step  engine.Step
		phase string
	}{
		{"prompts only", engine.Step{CtxReqs: 2, CtxTokens: 64}, "prefill"},
		{"decodes only", engine.Step{GenReqs: 3, GenTokens: 3}, "decode"},
		{"both", engine.Step{CtxReqs: 1, CtxTokens: 5, GenReqs: 1, GenTokens: 1}, "mixed"},
		{"neither", engine.Step{}, "empty"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.step.Phase(); got != tt.phase {
				t.Errorf("phase %s, want %s", got, tt.phase)
			}
		})
	}
	s := engine.Step{CallNs: 1000, ReturnNs: 1100, ScheduleNs: 10, ExecuteNs: 40, SampleNs: 20, UpdateNs: 10, OutputNs: 9, StatsNs: 6, CoreNs: 2}
	if s.WallNs() != 100 || s.UnaccountedNs() != 3 {
		t.Errorf("wall %d, unaccounted %d, want 100 and 3", s.WallNs(), s.UnaccountedNs())
	}
}

func TestFinishReason(t *testing.T) {
	want := map[engine.FinishReason]string{
		engine.Unfinished: "unfinished", engine.FinishStop: "stop", engine.FinishLength: "length",
		engine.FinishAbort: "abort", engine.FinishError: "error", 99: "error",
	}
	for r, word := range want {
		if r.String() != word {
			t.Errorf("%d is %q, want %q", r, r, word)
		}
	}
}

func TestFakeEngine(t *testing.T) {
	f := newFake(time.Millisecond)
	e := enginetest.Engine{Fake: f}
	rec := &recorder{clock: f.Clock}
	if err := e.Run(t.Context(), engine.Plan{Arrivals: every(0, 3, 2)}, rec.sink); err != nil || len(rec.requests) != 3 {
		t.Fatalf("%d results, %v", len(rec.requests), err)
	}
	f.OnCall = func(method string, args any) (any, error) { return []any{method, args}, nil }
	var reply []string
	if err := e.Call(t.Context(), "echo", "hello", &reply); err != nil || len(reply) != 2 || reply[1] != "hello" {
		t.Errorf("reply %q, %v", reply, err)
	}
	if err := e.Close(); err != nil || !f.Closed {
		t.Errorf("close: %v", err)
	}
}
