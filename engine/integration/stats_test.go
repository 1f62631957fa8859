//go:build integration

package integration

import (
	"fmt"
	"math"
	"strconv"
	"testing"

	"stepbench/engine"
)

// Every time of a request equals vLLM's own RequestStateStats to the bit: the
// adapter keeps the Python objects and prints them as hexadecimal floats.
func TestRequestTimesAreVLLMs(t *testing.T) {
	e := real(t)
	plan := engine.Plan{}
	for i, r := range prompts(7000, 6, 40, 5) {
		plan.Arrivals = append(plan.Arrivals, engine.Arrival{OffsetNs: int64(i) * 30e6, Request: r})
	}
	var got []engine.RequestResult
	var audit map[string]map[string]string
	var err error
	on(func() {
		err = engine.NewLoop(e, nil).Run(plan, func(b engine.Batch) error {
			got = append(got, b.Requests...)
			return nil
		})
		if err == nil {
			err = e.Call("audit", nil, &audit)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(plan.Arrivals) {
		t.Fatalf("%d results for %d requests", len(got), len(plan.Arrivals))
	}
	for _, r := range got {
		checkAgainstAudit(t, &r, audit[strconv.FormatInt(r.ID, 10)])
		checkIdentities(t, &r)
	}
}

func checkAgainstAudit(t *testing.T, r *engine.RequestResult, theirs map[string]string) {
	t.Helper()
	for name, mine := range map[string]int64{
		"arrival_time": r.EngineUnixNs, "queued_ts": r.QueuedNs, "scheduled_ts": r.ScheduledNs,
		"first_token_ts": r.FirstTokenNs, "last_token_ts": r.LastTokenNs,
		"first_token_latency": r.EngineTTFTNs,
	} {
		seconds, err := strconv.ParseFloat(theirs[name], 64)
		if err != nil {
			t.Errorf("request %d: %s is %q in vLLM: %v", r.ID, name, theirs[name], err)
		} else if want := int64(math.Round(seconds * 1e9)); mine != want || want == 0 {
			t.Errorf("request %d: %s is %d ns here, %d ns in vLLM", r.ID, name, mine, want)
		}
	}
	if n := fmt.Sprintf("%d", r.EngineOutputs); r.EngineOutputs != r.OutputTokens {
		t.Errorf("request %d: vLLM counts %s output tokens, the outputs held %d", r.ID, n, r.OutputTokens)
	}
}

func checkIdentities(t *testing.T, r *engine.RequestResult) {
	t.Helper()
	queue, ok1 := r.Queue()
	prefill, ok2 := r.Prefill()
	decode, ok3 := r.Decode()
	e2e, ok4 := r.E2E()
	if !ok1 || !ok2 || !ok3 || !ok4 || queue+prefill+decode != e2e {
		t.Errorf("request %d: queue %d + prefill %d + decode %d is not E2E %d", r.ID, queue, prefill, decode, e2e)
	}
	if len(r.TokenNs) != int(r.OutputTokens) || r.OutputTokens != 5 {
		t.Errorf("request %d: %d token stamps for %d tokens", r.ID, len(r.TokenNs), r.OutputTokens)
	}
	// One clock: vLLM's stamps lie between ours.
	if r.QueuedNs < r.AdmitNs || r.LastTokenNs > r.DeliveredNs || r.FirstTokenNs > r.TokenNs[0] {
		t.Errorf("request %d: stamps of vLLM and of the shim are not on one clock: %+v", r.ID, *r)
	}
}
