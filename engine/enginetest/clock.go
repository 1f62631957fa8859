package enginetest

import (
	"sync/atomic"
	"time"

	"stepbench/engine"
)

const (
	// StartNs is the monotonic time at which a virtual clock starts. It is not
	// 0, which means "never" in results.
	StartNs = int64(1_000_000_000_000)
	// UnixOffsetNs is wall clock less monotonic time, on every clock here.
	UnixOffsetNs = int64(1_700_000_000_000_000_000)
)

// Clock is virtual time: it moves only by Sleep and Advance.
type Clock struct{ passedNs atomic.Int64 }

// NowNs implements engine.Clock.
func (c *Clock) NowNs() int64 { return StartNs + c.passedNs.Load() }

// UnixNs implements engine.Clock.
func (c *Clock) UnixNs() int64 { return c.NowNs() + UnixOffsetNs }

// Sleep returns at once, d later.
func (c *Clock) Sleep(d time.Duration) { c.Advance(d) }

// Advance moves the clock by d, which is not negative.
func (c *Clock) Advance(d time.Duration) { c.passedNs.Add(max(0, d.Nanoseconds())) }

// RealClock is real time, for a Fake in a process of its own.
type RealClock struct{ start time.Time }

// NewRealClock returns a clock that starts now.
func NewRealClock() *RealClock { return &RealClock{time.Now()} }

// NowNs implements engine.Clock.
func (c *RealClock) NowNs() int64 { return StartNs + time.Since(c.start).Nanoseconds() }

// UnixNs implements engine.Clock.
func (c *RealClock) UnixNs() int64 { return c.NowNs() + UnixOffsetNs }

// Sleep implements engine.Clock.
func (c *RealClock) Sleep(d time.Duration) { time.Sleep(d) }

var (
	_ engine.Clock = (*Clock)(nil)
	_ engine.Clock = (*RealClock)(nil)
)
