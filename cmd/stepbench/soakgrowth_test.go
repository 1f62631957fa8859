package main

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"stepbench/bench/stats"
)

const (
	// What is filled once, such as caches, heaps and pools of threads, is filled in
	// this share of a soak.
	soakWarmUpFrac = 0.1

	// Memory may rise by what allocators move by themselves. A leak that a user
	// would meet is more than 16 MiB an hour, 400 MiB a day, and more than 2 % of
	// what the process holds anyway. In soaks of minutes that rate is a few pages:
	// there it must also be 4 MiB in all.
	soakBytesPerHour = 16 << 20
	soakFracPerHour  = 0.02
	soakBytes        = 4 << 20

	// Files, threads, goroutines and processes come and go by ones. What is lost
	// with each comparison, burst or row comes to hundreds in an hour.
	soakCount = 4
)

// drift is what became of a quantity after the warm-up.
type drift struct {
	// Medians of the first and of the last tenth of the readings.
	Start, End float64
	// PerHour is the median slope between all pairs of readings (Theil and Sen), which
	// a quarter of the readings can be wild without moving it far.
	PerHour float64
}

// driftOf reads a quantity over seconds, ascending; ok is false for too few readings.
func driftOf(atS, value []float64, warmUpS float64) (d drift, ok bool) {
	first, _ := slices.BinarySearch(atS, warmUpS)
	atS, value = atS[first:], value[first:]
	n := len(value)
	if n < 3 {
		return drift{}, false
	}
	middle := func(x []float64) float64 { return stats.Median(slices.Sorted(slices.Values(x))) }
	edge := max(1, n/10)
	d.Start, d.End = middle(value[:edge]), middle(value[n-edge:])
	var slopes []float64
	for i := range value {
		for k := i + 1; k < n; k++ {
			slopes = append(slopes, 3600*(value[k]-value[i])/(atS[k]-atS[i]))
		}
	}
	d.PerHour = middle(slopes)
	return d, true
}

// bytesGrow is why a memory's drift is growth, empty if it is none.
func (d drift) bytesGrow() string {
	if d.PerHour > soakBytesPerHour && d.PerHour > soakFracPerHour*d.Start && d.End-d.Start > soakBytes {
		return fmt.Sprintf("%.1f MiB became %.1f, %+.1f MiB an hour", d.Start/mib, d.End/mib, d.PerHour/mib)
	}
	return ""
}

// countGrows is the same of something counted.
func (d drift) countGrows() string {
	if d.End-d.Start > soakCount {
		return fmt.Sprintf("%g became %g", d.Start, d.End)
	}
	return ""
}

const mib = 1 << 20

func TestDrift(t *testing.T) {
	sawtooth := func(s float64) float64 { return math.Mod(s, 40) / 8 }
	bytes, counts := drift.bytesGrow, drift.countGrows
	for _, tt := range []struct {
		name    string
		rule    func(drift) string
		value   func(s float64) float64
		perHour float64
		grows   bool
	}{
		{"flat", bytes, func(float64) float64 { return 500 * mib }, 0, false},
		{"filled while warming up", bytes, func(s float64) float64 { return mib * (500 - 300*math.Exp(-s/20)) }, 0, false},
		{"sawtooth", bytes, func(s float64) float64 { return mib * (60 + sawtooth(s)) }, 0, false},
		{"a peak", bytes, func(s float64) float64 { return mib * (60 + 30*math.Floor(s/1000)*max(0, 2-math.Floor(s/1000))) }, 0, false},
		{"20 MiB an hour", bytes, func(s float64) float64 { return mib * (60 + 20*s/3600) }, 20 * mib, true},
		{"20 MiB an hour under a sawtooth", bytes, func(s float64) float64 { return mib * (60 + 20*s/3600 + sawtooth(s)) }, 20 * mib, true},
		{"20 MiB an hour in steps", bytes, func(s float64) float64 { return mib * (60 + 5*math.Floor(s/900)) }, 20 * mib, true},
		{"20 MiB an hour of 2 GiB", bytes, func(s float64) float64 { return mib * (2048 + 20*s/3600) }, 20 * mib, false},
		{"14 MiB an hour", bytes, func(s float64) float64 { return mib * (60 + 14*s/3600) }, 14 * mib, false},
		{"one a minute", counts, func(s float64) float64 { return 20 + math.Floor(s/60) }, 60, true},
		{"a few", counts, func(s float64) float64 { return 20 + math.Floor(s/1200) }, 3, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var at, value []float64
			for s := 0.0; s <= 3600; s += 5 {
				at, value = append(at, s), append(value, tt.value(s))
			}
			d, ok := driftOf(at, value, soakWarmUpFrac*3600)
			if !ok {
				t.Fatal("too few readings")
			}
			if off := math.Abs(d.PerHour - tt.perHour); off > 0.1*tt.perHour && off > mib/10 {
				t.Errorf("%g an hour, want %g", d.PerHour, tt.perHour)
			}
			if why := tt.rule(d); why != "" != tt.grows {
				t.Errorf("grows: %q", why)
			}
		})
	}
	if _, ok := driftOf([]float64{0, 5, 10}, []float64{1, 2, 3}, 6); ok {
		t.Error("a drift of one reading")
	}
}
