package micro

import "stepbench/engine"

// RankTime is what the profiler saw in one rank of a model that is spread over
// processes. Times are ns a step.
type RankTime struct {
	Rank         int     `json:"rank"`
	OwnNs        float64 `json:"own_ns"`        // kernels or ops, without copies and collectives
	CollectiveNs float64 `json:"collective_ns"` // exchanging data, with waiting for the slowest rank
}

// addRanks adds one profile's ranks to sums.
func addRanks(sums []RankTime, ranks []engine.RankProfile) []RankTime {
	for i, r := range ranks {
		if i == len(sums) {
			sums = append(sums, RankTime{Rank: r.Rank})
		}
		sums[i].OwnNs += float64(r.SumNs - r.CollectiveNs)
		sums[i].CollectiveNs += float64(r.CollectiveNs)
	}
	return sums
}
