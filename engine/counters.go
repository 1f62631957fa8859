package engine

import (
	"fmt"
	"slices"

	"stepbench/bridge"
)

// counterNames is the order of the adapter's counters
// (csrc/adapter/stepbench_adapter/probe.py), compared at open.
var counterNames = []string{
	"schedule_ns", "execute_ns", "sample_ns", "update_ns", "output_ns", "stats_ns",
	"ctx_reqs", "ctx_tokens", "gen_reqs", "gen_tokens",
	"running", "waiting", "preempted", "token_budget", "seq_budget", "kv_usage_ppb",
	"core_ns", "graph_mode", "padded_tokens",
}

func checkCounters(theirs []string) error {
	if slices.Equal(theirs, counterNames) {
		return nil
	}
	return fmt.Errorf("%w: the adapter counts %v, this program expects %v: run make build",
		bridge.ErrABI, theirs, counterNames)
}

// step reads the stamps and counters of a view.
func step(v *bridge.View) Step {
	c := v.Counters
	return Step{
		EnterNs: v.EnterNs, GILNs: v.GILNs, CallNs: v.CallNs, ReturnNs: v.ReturnNs, ExitNs: v.ExitNs,
		ScheduleNs: c[0], ExecuteNs: c[1], SampleNs: c[2], UpdateNs: c[3], OutputNs: c[4], StatsNs: c[5],
		CtxReqs: int32(c[6]), CtxTokens: int32(c[7]), GenReqs: int32(c[8]), GenTokens: int32(c[9]),
		Running: int32(c[10]), Waiting: int32(c[11]), Preempted: int32(c[12]),
		TokenBudget: int32(c[13]), SeqBudget: int32(c[14]), KVUsageFrac: float64(c[15]) / 1e9,
		CoreNs: c[16], GraphMode: GraphMode(c[17]), PaddedTokens: int32(c[18]),
	}
}

// requestStats reads one row of statistics, in the adapter's order (STATS in
// csrc/adapter/stepbench_adapter/session.py).
func requestStats(row []float64) RequestStats {
	return RequestStats{
		ArrivalS: row[0], QueuedS: row[1], ScheduledS: row[2], FirstTokenS: row[3], LastTokenS: row[4],
		FirstTokenLatencyS: row[5], GenerationTokens: int32(row[6]), CachedTokens: int32(row[7]),
		Corrupted: row[8] != 0,
	}
}
