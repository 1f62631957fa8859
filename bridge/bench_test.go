package bridge

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// BenchmarkStep measures what the bridge adds to a step of the engine, which is
// the fake here and takes the rest of ns/op:
//
//	bridge_ns/op   the whole call, as Go sees it, less the time inside the engine's step()
//	bridge_ns_p50  its median, which other load on the machine does not reach
//	enter_ns_p50   of it, before step(): lock and limits
//	walk_ns_p50    of it, after step() returned: counters, outputs, tokens
//	cross_ns_p50   of it, from Go to C and back
func BenchmarkStep(b *testing.B) {
	for _, running := range []int{1, 8, 64, 256} {
		b.Run(fmt.Sprintf("running=%d", running), func(b *testing.B) { benchmarkStep(b, running) })
	}
}

func benchmarkStep(b *testing.B, running int) {
	f := open(b)
	var requests []request
	var ids []byte
	for i := range running {
		requests = append(requests, request{id: int64(i + 1), tokens: []int32{int32(i)}})
		ids = fmt.Appendf(ids, ",%d", i+1)
	}
	f.mustSubmit(b, `[{"max_tokens": 900000000}]`, requests...)
	b.Cleanup(func() {
		if _, err := f.call("abort", "["+string(ids[1:])+"]"); err != nil {
			b.Error(err)
		}
	})
	if v, err := f.step(0, 0); err != nil || len(v.Outputs) != running { // the prefill
		b.Fatalf("%d outputs, %v", len(v.Outputs), err)
	}

	parts := []struct {
		name string
		ns   func(call int64, v *View) int64
	}{
		{"bridge", func(call int64, v *View) int64 { return call - (v.ReturnNs - v.CallNs) }},
		{"enter", func(_ int64, v *View) int64 { return v.CallNs - v.EnterNs }},
		{"walk", func(_ int64, v *View) int64 { return v.ExitNs - v.ReturnNs }},
		{"cross", func(call int64, v *View) int64 { return call - (v.ExitNs - v.EnterNs) }},
	}
	samples := make([][1 << 14]int64, len(parts)) // of the last steps
	total, n := int64(0), 0
	b.ReportAllocs()
	onMain(func() {
		var v View
		for b.Loop() {
			before := time.Now()
			err := f.Step(0, 0, &v)
			call := time.Since(before).Nanoseconds()
			if err != nil {
				b.Error(err)
				break
			}
			for i := range parts {
				samples[i][n%len(samples[i])] = parts[i].ns(call, &v)
			}
			total += parts[0].ns(call, &v)
			n++
		}
	})
	b.ReportMetric(float64(total)/float64(n), "bridge_ns/op")
	for i, part := range parts {
		kept := samples[i][:min(n, len(samples[i]))]
		slices.Sort(kept)
		b.ReportMetric(float64(kept[len(kept)/2]), part.name+"_ns_p50")
	}
}
