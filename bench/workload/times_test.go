package workload

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"stepbench/engine"
)

func TestTimesOf(t *testing.T) {
	// Events in order: a 100, q 110, e 115, s 130, f 200, l 440, o 445.
	full := engine.RequestResult{
		Finish: engine.FinishLength, OutputTokens: 4,
		ArrivalNs: 100, AdmitNs: 110, QueuedNs: 115, ScheduledNs: 130, FirstTokenNs: 200, LastTokenNs: 440, DeliveredNs: 445,
		TokenNs: []int64{205, 285, 365, 445},
	}
	i := func(v int64) *int64 { return &v }
	f := func(v float64) *float64 { return &v }
	itl := []int64{80, 80, 80}
	change := func(c func(*engine.RequestResult)) engine.RequestResult {
		r := full
		c(&r)
		return r
	}
	tests := []struct {
		name    string
		r       engine.RequestResult
		offline bool
		want    Times
	}{
		{"open loop", full, false, Times{
			Admission: i(10), Queue: i(30), EngineQueue: i(15), Prefill: i(70), Decode: i(240),
			TTFT: i(100), TPOT: f(80), E2E: i(340), Delivery: i(5), ITL: itl}},
		{"offline counts from first scheduled", full, true, Times{
			EngineQueue: i(15), Prefill: i(70), Decode: i(240), TTFT: i(70), TPOT: f(80), E2E: i(310), Delivery: i(5), ITL: itl}},
		{"one token has no TPOT", change(func(r *engine.RequestResult) { r.OutputTokens, r.TokenNs = 1, r.TokenNs[:1] }), false, Times{
			Admission: i(10), Queue: i(30), EngineQueue: i(15), Prefill: i(70), Decode: i(240), TTFT: i(100), E2E: i(340), Delivery: i(5)}},
		{"aborted while decoding has no end", change(func(r *engine.RequestResult) { r.Finish = engine.FinishAbort }), false, Times{
			Admission: i(10), Queue: i(30), EngineQueue: i(15), Prefill: i(70), TTFT: i(100), ITL: itl}},
		{"zero stamps are absent, not zero", change(func(r *engine.RequestResult) { r.FirstTokenNs, r.QueuedNs = 0, 0 }), false, Times{
			Admission: i(10), Queue: i(30), E2E: i(340), Delivery: i(5), ITL: itl}},
		{"offline and never scheduled", engine.RequestResult{ArrivalNs: 100, AdmitNs: 100, Finish: engine.FinishAbort}, true, Times{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := tt.r
			if diff := cmp.Diff(tt.want, TimesOf(&tt.r, tt.offline)); diff != "" {
				t.Errorf("times (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(before, tt.r); diff != "" {
				t.Errorf("the request was changed:\n%s", diff)
			}
		})
	}
}
