package record

import (
	"context"

	"stepbench/engine"
)

// asker is an engine that may have ranks.
type asker interface {
	Info() engine.Info
	Call(ctx context.Context, method string, args, reply any) error
}

// Measure executes a plan on e, keeps what each of its ranks used meanwhile, and ends
// telemetry: what was watched may be gone by Finish.
// The ranks are asked before and after, and not at all after a failure.
func (r *Run) Measure(ctx context.Context, e asker, execute func() error) error {
	defer r.Unwatch()
	if len(e.Info().Ranks) == 0 {
		return execute()
	}
	var before, after []engine.RankUse
	if err := e.Call(ctx, "ranks", nil, &before); err != nil {
		return err
	}
	if err := execute(); err != nil {
		return err
	}
	if err := e.Call(ctx, "ranks", nil, &after); err != nil {
		return err
	}
	r.Manifest.Ranks = usedBetween(before, after)
	return nil
}

// usedBetween has the counters' growth, and memory as it is at the end.
func usedBetween(before, after []engine.RankUse) []engine.RankUse {
	used := make([]engine.RankUse, len(after))
	for i, u := range after {
		if i < len(before) {
			u.CPUNs -= before[i].CPUNs
			for op, n := range before[i].VariantCalls {
				u.VariantCalls[op] -= n
			}
		}
		used[i] = u
	}
	return used
}
