package engine

import "time"

// Clock is the two clocks of a run. A test's clock moves only when told to.
type Clock interface {
	NowNs() int64  // CLOCK_MONOTONIC, the clock of the stamps
	UnixNs() int64 // wall clock
	// Sleep waits for d, or less.
	Sleep(d time.Duration)
}

// systemClock reads Go's monotonic time, which is CLOCK_MONOTONIC on Linux less
// an offset measured once against the shim's clock.
type systemClock struct {
	base   time.Time
	baseNs int64
}

func newSystemClock(nowNs func() int64) *systemClock {
	// The tightest of a few readings: a preemption between the two would
	// otherwise shift every scheduled arrival.
	var c systemClock
	best := time.Hour
	for range 16 {
		before := time.Now()
		now := nowNs()
		if width := time.Since(before); width < best {
			best, c = width, systemClock{base: before.Add(width / 2), baseNs: now}
		}
	}
	return &c
}

func (c *systemClock) NowNs() int64          { return c.baseNs + time.Since(c.base).Nanoseconds() }
func (c *systemClock) UnixNs() int64         { return time.Now().UnixNano() }
func (c *systemClock) Sleep(d time.Duration) { time.Sleep(d) }
