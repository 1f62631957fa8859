package bottleneck

// Mean is the evidence of a configuration from that of its repeats: the mean of
// each number, over the repeats that have it. It is saturated if most repeats
// are, and out of memory if one is. It panics without repeats.
func Mean(of []Evidence) Evidence {
	if len(of) == 1 {
		return of[0]
	}
	e := of[0]
	over := func(number func(*Evidence) float64) float64 {
		sum := 0.0
		for i := range of {
			sum += number(&of[i])
		}
		return sum / float64(len(of))
	}
	e.WindowS = over(func(e *Evidence) float64 { return e.WindowS })
	e.QueueFrac = over(func(e *Evidence) float64 { return e.QueueFrac })
	e.PrefillFrac = over(func(e *Evidence) float64 { return e.PrefillFrac })
	e.DecodeFrac = over(func(e *Evidence) float64 { return e.DecodeFrac })
	e.InterferenceFrac = over(func(e *Evidence) float64 { return e.InterferenceFrac })
	e.OfferedPerS = over(func(e *Evidence) float64 { return e.OfferedPerS })
	e.AchievedPerS = over(func(e *Evidence) float64 { return e.AchievedPerS })
	e.KVDenied = over(func(e *Evidence) float64 { return e.KVDenied })
	e.Recomputed = over(func(e *Evidence) float64 { return e.Recomputed })
	e.KVUsageP95 = over(func(e *Evidence) float64 { return e.KVUsageP95 })
	e.MeanBatch = over(func(e *Evidence) float64 { return e.MeanBatch })
	e.PrefillIdleFrac = known(of, func(e *Evidence) *float64 { return e.PrefillIdleFrac })
	e.DecodeIdleFrac = known(of, func(e *Evidence) *float64 { return e.DecodeIdleFrac })
	e.LatencyCV = known(of, func(e *Evidence) *float64 { return e.LatencyCV })
	e.BandwidthFrac = known(of, func(e *Evidence) *float64 { return e.BandwidthFrac })
	e.Requests, e.Preempted, e.OutOfMemory = 0, 0, false
	saturated := 0
	for i := range of {
		e.Requests += of[i].Requests
		e.Preempted += of[i].Preempted
		e.OutOfMemory = e.OutOfMemory || of[i].OutOfMemory
		if of[i].Saturated {
			saturated++
		}
	}
	e.Saturated = 2*saturated > len(of)
	e.Device = mean(of, func(e *Evidence) *Budget { return e.Device }, func(sum *Budget, b Budget, w float64) {
		sum.Busy += w * b.Busy
		sum.Host += w * b.Host
		sum.Between += w * b.Between
		sum.Empty += w * b.Empty
		sum.Coarse = sum.Coarse || b.Coarse
	})
	e.Waiting = mean(of, func(e *Evidence) *Waiting { return e.Waiting }, func(sum *Waiting, w Waiting, f float64) {
		sum.KV += f * w.KV
		sum.Seqs += f * w.Seqs
		sum.Tokens += f * w.Tokens
		sum.Compute += f * w.Compute
	})
	e.Slow = mean(of, func(e *Evidence) *SlowITL { return e.Slow }, func(sum *SlowITL, s SlowITL, w float64) {
		sum.N += s.N
		sum.Mixed += w * s.Mixed
		sum.AllMixed += w * s.AllMixed
		sum.Preempted += w * s.Preempted
	})
	return e
}

func known(of []Evidence, number func(*Evidence) *float64) *float64 {
	return mean(of, number, func(sum *float64, x, w float64) { *sum += w * x })
}

// mean adds up the parts that are known, each with the weight 1/n; nil if none is.
func mean[T any](of []Evidence, part func(*Evidence) *T, add func(sum *T, x T, weight float64)) *T {
	var parts []*T
	for i := range of {
		if p := part(&of[i]); p != nil {
			parts = append(parts, p)
		}
	}
	if len(parts) == 0 {
		return nil
	}
	sum := new(T)
	for _, p := range parts {
		add(sum, *p, 1/float64(len(parts)))
	}
	return sum
}
