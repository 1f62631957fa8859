package workload

import (
	"math/rand/v2"
	"slices"
	"testing"

	"stepbench/engine"
)

// standard is a spec as a suite of profile standard has it.
func standard(t *testing.T, requests, warmUp int, change func(*Flags)) Spec {
	t.Helper()
	s := newSpec(t, with(func(f *Flags) {
		f.Requests, f.RatePerS, f.Pattern = requests, 10, "constant"
		if change != nil {
			change(f)
		}
	}))
	s.Profile, s.WarmUpRequests = "standard", warmUp
	s.AddTail()
	return s
}

// made are requests, ten a second from 0.1 s on, of which number i takes
// e2eS(i) seconds.
func made(n int, e2eS func(i int) float64) []engine.RequestResult {
	var out []engine.RequestResult
	for i := range n {
		at := startNs + int64(i+1)*100e6
		end := at + int64(e2eS(i)*1e9)
		out = append(out, engine.RequestResult{
			ID: int64(i), PromptTokens: 128, OutputTokens: 64, Finish: engine.FinishLength,
			ArrivalNs: at, AdmitNs: at, QueuedNs: at, ScheduledNs: at, FirstTokenNs: (at + end) / 2, LastTokenNs: end, DeliveredNs: end,
		})
	}
	return out
}

const startNs = int64(1_000e9)

// TestTruncation: runs of 250 requests in 25 s whose number in the system is
// known; a batch is 0.5 s.
func TestTruncation(t *testing.T) {
	settlesAt := func(s float64) func(int) float64 {
		return func(i int) float64 {
			if float64(i) < 10*s {
				return 3 // 30 in the system
			}
			return 0.2 // two, from 3 s later on
		}
	}
	tests := []struct {
		name          string
		e2eS          func(int) float64
		truncationS   float64
		first         int64 // measured request
		fromS         float64
		shorterS      float64
		noSteadyState bool
	}{
		{"level from the start", func(int) float64 { return 0.2 }, 0.5, 50, 5, 0, false},
		{"settles in the warm-up", settlesAt(1), 4, 50, 5, 0, false},
		// The last of the slow requests arrives at 5.0 s and ends at 8.0 s.
		{"settles after the warm-up", settlesAt(5), 8, 80, 8, 3, false},
		{"settles in the second half", settlesAt(13), 16, 50, 5, 0, true},
		{"never settles", func(i int) float64 { return 0.02 * float64(i) }, 22.5, 50, 5, 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := standard(t, 250, 50, nil)
			in := Input{Spec: s, StartNs: startNs, Requests: made(250, tt.e2eS)}
			sum := Summarize(in)
			span := SpanOf(s, startNs, in.Requests)
			w := sum.WarmUp
			if w == nil || w.TruncationS == nil {
				t.Fatalf("warm-up %+v", w)
			}
			near(t, "played", w.PlayedS, 5, 1e-9)
			near(t, "total", w.TotalS, 25, 1e-9)
			near(t, "truncation", *w.TruncationS, tt.truncationS, 1e-9)
			near(t, "shorter", w.ShorterS, tt.shorterS, 1e-9)
			near(t, "window's start", float64(span.FromNs-startNs)/1e9, tt.fromS, 1e-9)
			near(t, "window", sum.Window.Seconds, 20-tt.shorterS, 1e-9)
			near(t, "offered", sum.Window.OfferedPerS, 10, 1e-9)
			if w.NoSteadyState != tt.noSteadyState || span.FirstID != tt.first || sum.Counts.Measured != int(250-tt.first) || sum.Counts.WarmUp != int(tt.first) {
				t.Errorf("%+v, measured from %d, counts %+v", w, span.FirstID, sum.Counts)
			}
			g := gate(t, in, "warmed up")
			if want := passIf(tt.shorterS == 0 && !tt.noSteadyState); g.Status != want || g.Voids {
				t.Errorf("gate %+v, want %s", g, want)
			}
		})
	}
}

// TestTruncationKeepsCensored: what never ended is not truncated away.
func TestTruncationKeepsCensored(t *testing.T) {
	s := standard(t, 250, 50, nil)
	in := Input{Spec: s, StartNs: startNs, Requests: made(250, func(i int) float64 { return map[bool]float64{true: 3, false: 0.2}[i < 50] })}
	if c := newView(in).counts(); c.WarmUp != 80 {
		t.Fatalf("counts %+v", c)
	}
	in.Requests[60].Finish = engine.FinishAbort
	if c := newView(in).counts(); c.Censored != 1 || c.Measured != 200 {
		t.Errorf("counts %+v", c)
	}
	if g := gate(t, in, "warmed up"); g.Status != Fail {
		t.Errorf("gate %+v", g)
	}
}

// TestWarmUpByCount: profile quick and loads without a schedule have no
// truncation, whatever the number in the system does.
func TestWarmUpByCount(t *testing.T) {
	requests := made(250, func(i int) float64 { return float64(max(0, 100-i)) / 10 })
	for name, change := range map[string]func(*Spec){
		"quick":   func(s *Spec) { s.Profile = ProfileQuick },
		"closed":  func(s *Spec) { s.Arrivals.Pattern = "closed" },
		"offline": func(s *Spec) { s.Arrivals.Pattern = "offline" },
	} {
		s := standard(t, 250, 50, nil)
		if truncated := SpanOf(s, startNs, requests); truncated.FirstID <= 50 {
			t.Fatalf("the run needs no truncation: %+v", truncated)
		}
		change(&s)
		if span := SpanOf(s, startNs, requests); span.WarmUp != nil || span.FirstID != 50 {
			t.Errorf("%s: %+v", name, span)
		}
		if g := ptr(Summarize(Input{Spec: s, StartNs: startNs, Requests: requests})).Gates; slices.ContainsFunc(g, func(g Gate) bool { return g.Name == "warmed up" }) {
			t.Errorf("%s has a gate on its warm-up", name)
		}
	}
}

// TestSpanProperties: on random runs, in any order of records, the window lies
// in that planned, ends with it, keeps at least half of the run, and its first
// request is the first that arrives in it.
func TestSpanProperties(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	truncated := 0
	for range 300 {
		n := 60 + rng.IntN(200)
		s := standard(t, n, 2+rng.IntN(n/3), nil)
		slow, fast, change := 3*rng.Float64(), rng.Float64(), rng.IntN(n)
		requests := made(n+rng.IntN(30), func(i int) float64 {
			if i < change {
				return slow * rng.Float64()
			}
			return fast * rng.Float64()
		})
		for i := range requests {
			if rng.IntN(400) == 0 {
				requests[i].Finish = engine.FinishAbort
			}
		}
		span := SpanOf(s, startNs, requests)
		planned := Span{FirstID: int64(s.WarmUpRequests), EndID: int64(n)}
		if !planned.opens(requests) {
			t.Fatal("no window was planned")
		}
		half := (span.ToNs - startNs) / 2
		if span.ToNs != planned.ToNs || span.EndID != planned.EndID || span.FromNs < planned.FromNs || span.FirstID < planned.FirstID ||
			span.FromNs > max(planned.FromNs, startNs+half+100e6) {
			t.Fatalf("span %+v of planned %+v", span, planned)
		}
		if requests[span.FirstID].ArrivalNs <= span.FromNs || requests[span.FirstID-1].ArrivalNs > span.FromNs {
			t.Fatalf("the window opens at %d, and request %d is its first: %+v", span.FromNs, span.FirstID, span)
		}
		roles := map[string]int{}
		for i := range requests {
			roles[span.Role(&requests[i])]++
		}
		c := newView(Input{Spec: s, StartNs: startNs, Requests: requests}).counts()
		if c.WarmUp != roles[RoleWarmUp] || c.Tail != roles[RoleTail] || c.Censored != roles[RoleCensored] || c.Measured != roles[RoleMeasured]+roles[RoleCensored] ||
			c.Planned != c.Completed+c.Failed+c.Interrupted+c.NotRun {
			t.Fatalf("counts %+v, roles %v", c, roles)
		}
		rng.Shuffle(len(requests), func(i, k int) { requests[i], requests[k] = requests[k], requests[i] })
		if other := SpanOf(s, startNs, requests); other.FromNs != span.FromNs || other.FirstID != span.FirstID {
			t.Fatalf("%+v in another order, %+v before", other, span)
		}
		if span.WarmUp.ShorterS > 0 {
			truncated++
		}
	}
	if truncated < 10 {
		t.Errorf("only %d of 300 runs were truncated: too few to tell", truncated)
	}
}

// TestLittle: a stamp that says half of the time breaks the law.
func TestLittle(t *testing.T) {
	s := standard(t, 250, 50, nil)
	in := Input{Spec: s, StartNs: startNs, Requests: made(250, func(int) float64 { return 0.4 })}
	if g := gate(t, in, "Little's law"); g.Status != Pass || g.Detail != "4 in the system, 4 by the law" {
		t.Errorf("gate %+v", g)
	}
	for i := range in.Requests {
		in.Requests[i].DeliveredNs += 600e6 // long after the last token
	}
	if g := gate(t, in, "Little's law"); g.Status != Fail || g.Voids {
		t.Errorf("with lost time: gate %+v", g)
	}
	in.Requests = made(250, func(int) float64 { return 3 })
	for i := range in.Requests {
		in.Requests[i].DeliveredNs += 180e6
	}
	if g := gate(t, in, "Little's law"); g.Status != Unknown || g.Detail != "31.8 in the system, 30 by the law, which may be chance in so short a window" {
		t.Errorf("6 %% off: gate %+v", g)
	}
}
