package engine_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"stepbench/engine"
)

// treadmill is an engine that costs nothing: each step gives every request in it
// one token.
type treadmill struct {
	engine.Stepper
	steps, left int
	nowNs       int64
	outputs     []engine.Output
	tokens      []int32
}

// outputLength is how long each request of the benchmark runs, in steps.
const outputLength = 128

func (m *treadmill) NowNs() int64          { return m.nowNs }
func (m *treadmill) UnixNs() int64         { return m.nowNs }
func (m *treadmill) Sleep(d time.Duration) { m.nowNs += d.Nanoseconds() }

func (m *treadmill) Submit(reqs []engine.Request, _ []int64) (map[int]error, error) {
	for _, r := range reqs {
		m.outputs = append(m.outputs, engine.Output{ID: r.ID, TokenOff: int32(len(m.tokens)), TokenLen: 1})
		m.tokens = append(m.tokens, 1)
	}
	return nil, nil
}

func (m *treadmill) Step(engine.Limits) (engine.StepResult, error) {
	m.nowNs += int64(time.Millisecond)
	m.steps++
	m.left--
	r := engine.StepResult{Step: engine.Step{ExitNs: m.nowNs}, Outputs: m.outputs, Tokens: m.tokens}
	if m.steps%outputLength == 0 {
		for i := range m.outputs {
			m.outputs[i].Finish = engine.FinishLength
		}
		m.outputs, m.tokens = nil, nil
	}
	return r, nil
}

func (m *treadmill) Abort([]int64) (map[int64]engine.RequestStats, error) { return nil, nil }

// BenchmarkLoop is what Go adds to a step: admission, collection and batches,
// with an engine that takes no time. An op is a step.
func BenchmarkLoop(b *testing.B) {
	for _, inFlight := range []int{1, 8, 64, 256} {
		b.Run(fmt.Sprintf("requests=%d", inFlight), func(b *testing.B) {
			arrivals := make([]engine.Arrival, (b.N/outputLength+1)*inFlight)
			for i := range arrivals {
				arrivals[i] = arrive(int64(i), 0, outputLength)
			}
			m := &treadmill{left: b.N}
			loop := engine.NewLoopWithClock(m, m, func() bool { return m.left == 0 })
			plan := engine.Plan{Arrivals: arrivals, MaxConcurrency: inFlight}
			b.ReportAllocs()
			b.ResetTimer()
			if err := loop.Run(plan, func(engine.Batch) error { return nil }); err != nil && !errors.Is(err, engine.ErrStopped) {
				b.Fatal(err)
			}
		})
	}
}
