package workload

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stepbench/engine"
)

func TestParseSLO(t *testing.T) {
	tests := []struct {
		name, text string
		want       *SLO
	}{
		{"none", "", nil},
		{"two", "ttft=200ms,tpot=50ms", &SLO{TTFTNs: 200e6, TPOTNs: 50e6}},
		{"all, in another order and with spaces", "e2e=1.5s, tpot=1us ,ttft=2m", &SLO{TTFTNs: 120e9, TPOTNs: 1e3, E2ENs: 1.5e9}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseSLO(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Fatal(diff)
			}
			if got == nil {
				return
			}
			again, err := ParseSLO(got.String())
			if err != nil || *again != *got {
				t.Errorf("%q read again gives %+v, %v", got.String(), again, err)
			}
		})
	}
}

func TestParseSLO_Errors(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"no value", "ttft", `"ttft" is not NAME=DURATION`},
		{"no unit", "ttft=200", `ttft "200" is not a duration`},
		{"unknown", "itl=3ms", `no latency "itl"`},
		{"twice", "e2e=3ms,e2e=4ms", "e2e is given twice"},
		{"negative", "tpot=-1ms", "tpot -1ms: a limit is above 0"},
		{"zero", "tpot=0s", "a limit is above 0"},
		{"trailing comma", "ttft=1s,", `"" is not NAME=DURATION`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseSLO(tt.text)
			if err == nil || got != nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("ParseSLO(%q) = %v, %v, want an error with %q", tt.text, got, err, tt.want)
			}
		})
	}
	for _, s := range []SLO{{}, {TTFTNs: -1}, {E2ENs: math.NaN()}, {TPOTNs: math.Inf(1)}} {
		if s.Validate() == nil {
			t.Errorf("%+v passes", s)
		}
	}
}

// TestGoodput: eight measured requests, 1 s apart, that fail and pass each
// limit in turn.
func TestGoodput(t *testing.T) {
	const s, ms = int64(1e9), int64(1e6)
	request := func(id, ttft, tpot, tokens int64) engine.RequestResult {
		a := 100*s + id*s
		r := engine.RequestResult{
			ID: id, PromptTokens: 128, OutputTokens: int32(tokens), Finish: engine.FinishLength,
			ArrivalNs: a, AdmitNs: a, QueuedNs: a, ScheduledNs: a, FirstTokenNs: a + ttft, LastTokenNs: a + ttft + tpot*(tokens-1),
		}
		r.DeliveredNs = r.LastTokenNs
		return r
	}
	unfinished, refused := request(7, 50*ms, 10*ms, 4), request(8, 50*ms, 10*ms, 4)
	unfinished.Finish = engine.FinishAbort
	refused = engine.RequestResult{ID: 8, ArrivalNs: refused.ArrivalNs, AdmitNs: refused.ArrivalNs, Finish: engine.FinishError, Error: "no"}
	requests := []engine.RequestResult{
		request(0, 1*ms, 1*ms, 4), request(1, 1*ms, 1*ms, 4), // warm-up
		request(2, 100*ms, 10*ms, 4),  // good, exactly at the limit
		request(3, 101*ms, 10*ms, 4),  // TTFT
		request(4, 50*ms, 11*ms, 4),   // TPOT
		request(5, 100*ms, 10*ms, 99), // E2E
		request(6, 50*ms, 999*ms, 1),  // good: one token has no TPOT
		unfinished, refused,
		request(9, 50*ms, 5*ms, 4), // good
	}
	f := constant(10, 1)
	f.SLO = &SLO{TTFTNs: 100e6, TPOTNs: 10e6, E2ENs: 500e6}
	in := Input{Spec: newSpec(t, f), StartNs: 100 * s, Requests: requests}
	sum := Summarize(in)
	if sum.Goodput == nil || sum.Goodput.Met != 3 || sum.Goodput.Of != 8 || sum.Goodput.SLO != *f.SLO {
		t.Fatalf("goodput %+v, want 3 of 8", sum.Goodput)
	}
	near(t, "goodput", sum.Goodput.PerS.Value, 3.0/8, 1e-12) // over a window of 8 s
	if ci := sum.Goodput.PerS.CI; ci == nil || ci.Lo > 3.0/8 || ci.Hi < 3.0/8 || ci.Lo < 0 || ci.Hi > 1 {
		t.Errorf("interval %+v", ci)
	}
	in.Spec.SLO = nil
	if again := Summarize(in); again.Goodput != nil {
		t.Errorf("goodput without an SLO: %+v", again.Goodput)
	}
}
