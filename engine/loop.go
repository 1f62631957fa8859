package engine

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// ErrStopped ends a run that was told to stop; what it delivered is valid.
var ErrStopped = errors.New("stopped")

const (
	flushEveryNs = 100e6 // at most ten batches a second
	heartbeatNs  = 1e9   // a batch without records shows that the loop is alive
	idleLimit    = 1000  // steps; a few empty ones are normal, they carry out aborts
	longestSleep = 20 * time.Millisecond
	startLeadNs  = 2e6  // so that the first arrival is not late by construction
	stampRoom    = 1024 // longest output whose stamps get their memory at admission
)

// Loop executes plans on a Stepper: it admits every request that has arrived,
// steps, and collects what came back. It sleeps only while the engine is empty,
// so admission is quantised by steps, as in a real server's engine loop.
// It runs on the caller's goroutine and thread.
type Loop struct {
	stepper Stepper
	clock   Clock
	// stopped is polled once per step and while sleeping.
	stopped func() bool
}

// NewLoop returns a loop over s. stopped ends a run early; nil means never.
func NewLoop(s Stepper, stopped func() bool) *Loop {
	return NewLoopWithClock(s, newSystemClock(s.NowNs), stopped)
}

// NewLoopWithClock is NewLoop on another clock, which must agree with s.NowNs.
func NewLoopWithClock(s Stepper, c Clock, stopped func() bool) *Loop {
	if stopped == nil {
		stopped = func() bool { return false }
	}
	return &Loop{stepper: s, clock: c, stopped: stopped}
}

// Run executes plan and hands records to sink. It returns ErrStopped when told
// to stop; requests in flight are then aborted and delivered as far as they
// had come, as they are when a step fails.
func (l *Loop) Run(plan Plan, sink Sink) error {
	r := newRun(l, plan, sink)
	return r.finish(r.loop())
}

// finish ends a run that stopped with err: nothing stays in flight and nothing
// that was measured stays here.
func (r *run) finish(err error) error {
	if err != nil {
		// A broken engine breaks the abort as well: the first error says why.
		if aborted := r.abandon(); errors.Is(err, ErrStopped) {
			err = errors.Join(err, aborted)
		}
	}
	if r.sinkBroken {
		return err
	}
	return errors.Join(err, r.flush())
}

// flight is a request in the engine.
type flight struct {
	RequestResult
	finalOnly bool // it returns at its end, which is no stamp for its tokens
	logprobs  bool // are fetched when it ends
}

// run is the state of one plan in execution.
type run struct {
	*Loop
	plan    Plan
	sink    Sink
	startNs int64
	next    int // first arrival not admitted
	index   int64

	inFlight  map[int64]*flight
	feeds     bool    // steps are counted, not listed, and requests final only
	ended     []int64 // in this step, with logprobs to fetch
	batch     Batch
	progress  Progress
	flushedNs int64

	idle       int  // steps in a row that did no work
	sinkBroken bool // it refused a batch and gets no further one
}

func newRun(l *Loop, plan Plan, sink Sink) *run {
	start := l.clock.NowNs() + startLeadNs
	return &run{
		Loop: l, plan: plan, sink: sink, startNs: start, flushedNs: start,
		inFlight: map[int64]*flight{},
		progress: Progress{Total: len(plan.Arrivals)},
	}
}

func (r *run) loop() error {
	for {
		if r.stopped() {
			return ErrStopped
		}
		if err := r.admit(); err != nil {
			return err
		}
		if len(r.inFlight) > 0 {
			if err := r.step(Limits{}, 0); err != nil {
				return err
			}
		} else if r.next == len(r.plan.Arrivals) {
			return nil
		} else {
			wait := time.Duration(r.arrivalNs(r.next) - r.clock.NowNs())
			r.clock.Sleep(max(0, min(wait, longestSleep)))
		}
		if err := r.flushIfDue(); err != nil {
			return err
		}
	}
}

func (r *run) arrivalNs(i int) int64 { return r.startNs + r.plan.Arrivals[i].OffsetNs }

// admit submits every request that has arrived and fits the concurrency limit.
func (r *run) admit() error {
	now, first := r.clock.NowNs(), r.next
	room := len(r.plan.Arrivals)
	if r.plan.MaxConcurrency > 0 {
		room = r.plan.MaxConcurrency - len(r.inFlight)
	}
	for r.next < len(r.plan.Arrivals) && r.next-first < room && r.arrivalNs(r.next) <= now {
		r.next++
	}
	if r.next == first {
		return nil
	}
	return r.submit(r.plan.Arrivals[first:r.next])
}

// submit hands requests to the engine. vLLM gets the scheduled arrival's image
// on the wall clock, so that its own first_token_latency counts from there too.
func (r *run) submit(arrivals []Arrival) error {
	reqs := make([]Request, len(arrivals))
	walls := make([]int64, len(arrivals))
	for i := range arrivals {
		sampling := &arrivals[i].Sampling
		sampling.FinalOnly = sampling.FinalOnly || r.feeds
		res := &flight{RequestResult: RequestResult{
			ID: arrivals[i].ID, PromptTokens: int32(len(arrivals[i].Prompt)),
			ArrivalNs: r.startNs + arrivals[i].OffsetNs, AdmitNs: r.clock.NowNs(),
		}, finalOnly: sampling.finalOnly(), logprobs: sampling.wantsLogprobs()}
		if r.plan.MaxConcurrency > 0 { // a closed loop has no schedule
			res.ArrivalNs = res.AdmitNs
		}
		res.AnchorNs, res.AnchorUnixNs = res.AdmitNs, r.clock.UnixNs()
		if _, double := r.inFlight[res.ID]; double {
			return fmt.Errorf("request id %d is in flight already: ids must be unique", res.ID)
		}
		if !res.finalOnly { // growing during the decode steps would disturb them
			res.TokenNs = make([]int64, 0, max(0, min(sampling.MaxTokens, stampRoom)))
		}
		r.progress.Admitted++
		reqs[i], walls[i] = arrivals[i].Request, res.AnchorUnixNs+res.ArrivalNs-res.AnchorNs
		r.inFlight[res.ID] = res
	}
	refused, err := r.stepper.Submit(reqs, walls)
	for i, why := range refused {
		r.refuse(reqs[i].ID, why)
	}
	return err
}

func (r *run) refuse(id int64, why error) {
	res := r.inFlight[id]
	res.Finish, res.Error = FinishError, why.Error()
	r.end(res)
}

func (r *run) step(limits Limits, op int32) error {
	s, err := r.stepper.Step(limits)
	if err != nil {
		return err
	}
	s.Index, s.Op = r.index, op
	r.index++
	if r.feeds {
		r.progress.count(&s.Step)
	} else {
		r.batch.Steps = append(r.batch.Steps, s.Step)
	}
	if r.idle++; s.CtxTokens+s.GenTokens > 0 || s.Step.Outputs > 0 {
		r.idle = 0
	}
	if r.idle > idleLimit {
		return fmt.Errorf("%d steps in a row did no work with %d requests in flight: the engine has lost them", r.idle, len(r.inFlight))
	}
	for i := range s.Outputs {
		r.collect(&s.Outputs[i], &s)
	}
	if len(r.ended) > 0 {
		return r.takeLogprobs()
	}
	return nil
}

func (r *run) collect(o *Output, s *StepResult) {
	res := r.inFlight[o.ID]
	if res == nil {
		return // ended in an earlier step: the engine only confirms it
	}
	if !res.finalOnly {
		for range o.TokenLen {
			res.TokenNs = append(res.TokenNs, s.ExitNs)
		}
	}
	res.OutputTokens += o.TokenLen
	r.progress.OutputTokens += int64(o.TokenLen)
	if r.plan.KeepTokens {
		res.Tokens = append(res.Tokens, s.Tokens[o.TokenOff:o.TokenOff+o.TokenLen]...)
	}
	if o.Finish != Unfinished {
		res.Finish, res.DeliveredNs = o.Finish, s.ExitNs
		res.take(&o.Stats)
		if res.logprobs {
			r.ended = append(r.ended, res.ID)
		}
		r.end(res)
	}
}

// take stores vLLM's own statistics, each rounded to ns once.
func (res *RequestResult) take(s *RequestStats) {
	res.EngineUnixNs = ns(s.ArrivalS)
	res.QueuedNs, res.ScheduledNs = ns(s.QueuedS), ns(s.ScheduledS)
	res.FirstTokenNs, res.LastTokenNs = ns(s.FirstTokenS), ns(s.LastTokenS)
	res.EngineTTFTNs = ns(s.FirstTokenLatencyS)
	res.EngineOutputs, res.CachedTokens = s.GenerationTokens, s.CachedTokens
	res.Corrupted = s.Corrupted
}

func (r *run) end(res *flight) {
	if res.Finish == FinishStop || res.Finish == FinishLength {
		r.progress.Finished++
	} else {
		r.progress.Failed++
	}
	delete(r.inFlight, res.ID)
	r.batch.Requests = append(r.batch.Requests, res.RequestResult)
}

// abandon aborts what is in flight and records how far it had come. A broken
// engine cannot say; the Go side's own facts are then all there is.
func (r *run) abandon() error {
	if len(r.inFlight) == 0 {
		return nil
	}
	ids := slices.Sorted(maps.Keys(r.inFlight))
	stats, err := r.stepper.Abort(ids)
	for _, id := range ids {
		res := r.inFlight[id]
		res.Finish = FinishAbort
		if s, ok := stats[id]; ok {
			res.take(&s)
		}
		r.end(res)
	}
	return err
}

func (r *run) flushIfDue() error {
	since := r.clock.NowNs() - r.flushedNs
	busy := len(r.batch.Steps)+len(r.batch.Requests) > 0
	if since < flushEveryNs || !busy && since < heartbeatNs {
		return nil
	}
	return r.flush()
}

func (r *run) flush() error {
	now := r.clock.NowNs()
	r.progress.ElapsedNs = max(0, now-r.startNs)
	b := r.batch
	b.StartNs, b.Progress = r.startNs, r.progress
	r.batch, r.flushedNs = Batch{Steps: make([]Step, 0, len(b.Steps))}, now
	err := r.sink(b)
	r.sinkBroken = err != nil
	return err
}
