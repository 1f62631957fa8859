package analysis

import "stepbench/engine"

// RankUse is what a rank of a point used, over its repeats.
type RankUse struct {
	Rank            int     `json:"rank"`
	Cores           float64 `json:"cores"` // mean; waiting for other ranks counts, since ranks spin
	RSSBytes        int64   `json:"rss_bytes"`
	DeviceUsedBytes int64   `json:"device_used_bytes,omitempty"` // of its GPU, by whomever
}

// rankUse is nil where the engine is one process or nobody watched the clock.
func rankUse(runs []*run) []RankUse {
	var out []RankUse
	n := 0.0
	for _, r := range runs {
		m := &r.rec.Manifest
		if len(m.Ranks) == 0 || m.Telemetry == nil || m.Telemetry.Change.IntervalNs <= 0 {
			continue
		}
		n++
		if out == nil {
			out = make([]RankUse, len(m.Ranks))
		}
		for i, u := range m.Ranks[:min(len(m.Ranks), len(out))] {
			out[i].add(u, m.Telemetry.Change.IntervalNs)
		}
	}
	for i := range out {
		out[i].Cores /= n
	}
	return out
}

func (u *RankUse) add(of engine.RankUse, intervalNs int64) {
	u.Rank = of.Rank
	u.Cores += float64(of.CPUNs) / float64(intervalNs)
	u.RSSBytes = max(u.RSSBytes, of.RSSBytes)
	u.DeviceUsedBytes = max(u.DeviceUsedBytes, of.DeviceUsedBytes)
}
