package workload

import "stepbench/engine"

// Times are the latencies of one request in ns, nil where an end was never
// reached. Letters are the events of engine.RequestResult: a scheduled
// arrival, q admission, e queued, s first scheduled, f first token, l last
// token, o delivered.
type Times struct {
	Admission   *int64   // q-a
	Queue       *int64   // s-a
	EngineQueue *int64   // s-e
	Prefill     *int64   // f-s
	Decode      *int64   // l-f
	TTFT        *int64   // f-a
	TPOT        *float64 // (l-f)/(n-1) for n ≥ 2 output tokens
	E2E         *int64   // l-a = Queue + Prefill + Decode
	Delivery    *int64   // o-l
	ITL         []int64  // t_k - t_(k-1)
}

// TimesOf derives the latencies of r. Every latency counts from the scheduled
// arrival, never from admission, so that a stalled engine shows in it. Offline
// and in a closed loop requests are unscheduled: a is then s, and admission and
// queue do not exist.
//
// What ends with the last token exists only for completed requests: the last
// token of an aborted one was not its last.
func TimesOf(r *engine.RequestResult, unscheduled bool) Times {
	from := *r
	if unscheduled {
		from.ArrivalNs = r.ScheduledNs
	}
	t := Times{
		EngineQueue: present(from.EngineQueue()),
		Prefill:     present(from.Prefill()),
		TTFT:        present(from.TTFT()),
		ITL:         r.ITL(),
	}
	if !unscheduled {
		t.Admission, t.Queue = present(from.Admission()), present(from.Queue())
	}
	if Completed(r) {
		t.Decode, t.E2E = present(from.Decode()), present(from.E2E())
		t.TPOT, t.Delivery = present(from.TPOT()), present(from.Delivery())
	}
	return t
}

// Completed says that r generated all it was asked for.
func Completed(r *engine.RequestResult) bool {
	return r.Finish == engine.FinishStop || r.Finish == engine.FinishLength
}

func present[T int64 | float64](v T, ok bool) *T {
	if !ok {
		return nil
	}
	return &v
}
