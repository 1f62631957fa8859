// Package runner takes the rows of a batch through an engine: it reads and
// encodes them ahead of the engine, keeps the engine's queue full, turns its
// outputs into text beside it, and stores a result for every row. It outlives
// engines that die and finds the rows that kill them.
package runner

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"stepbench/bench/batch"
	"stepbench/bench/batch/output"
	"stepbench/bench/batch/score"
	"stepbench/engine"
)

// Rows is an input, such as [stepbench/bench/batch/input.Source].
type Rows interface {
	Next() (*batch.Row, error) // io.EOF at the end
	Progress() (readBytes, totalBytes int64)
}

// Texts turns text into tokens and back, as [engine.Tokenizers] does.
type Texts interface {
	Encode(ctx context.Context, texts []string) ([]engine.Encoded, error)
	EncodePlain(ctx context.Context, texts []string) ([]engine.Encoded, error)
	Chat(ctx context.Context, messages []json.RawMessage) ([]engine.Encoded, error)
	Decode(ctx context.Context, outputs []engine.Generated) ([]engine.Decoded, error)
	TokenTexts(ctx context.Context, ids []int32) ([]engine.Decoded, error)
}

// Job is one run over the rows of an input.
type Job struct {
	Rows  Rows
	Mine  func(index int64) bool // rows of this shard; nil means all
	Texts Texts
	// Callers is how many calls of Texts are made at a time; 0 means 1.
	Callers int
	// Open opens an engine: at the start, and again whenever one has died.
	Open func(ctx context.Context) (engine.Feeder, error)
	// Store takes the results, and knows the rows that have one. Run finishes it.
	Store   *output.Store
	Metrics []score.Metric
	// InputOrder keeps the input's order, where otherwise the longest prompts of
	// some thousand rows go first: the last rows in an engine are then short ones,
	// and fewer steps are made for a few stragglers. If the engine caches prefixes,
	// those that begin alike follow each other.
	InputOrder bool
	// Concurrency is the most requests in the engine and on their way; 0 means
	// what [engine.Feed] thinks best.
	Concurrency int
	// Deaths in a row, with no row finished between them, end the run; 0 means 5.
	Deaths int

	Progress func(Progress)                       // may be nil; calls never overlap
	Log      func(line string)                    // of deaths and restarts; may be nil
	Sleep    func(context.Context, time.Duration) // between restarts; nil means real time
}

const defaultDeaths = 5

// ErrHopeless marks a run that gave up: its engine died again and again, and no
// row was finished in between.
var ErrHopeless = errors.New("the engine keeps dying")

// run is a Job in execution.
type run struct {
	Job
	ctx    context.Context
	cancel context.CancelCauseFunc
	limits limits // of the model
	// prefixBlock is how many tokens are cached as one, 0 if prefixes are not.
	prefixBlock int
	ready       chan []*task // encoded rows, in the order in which they shall run
	ended       chan []*task // rows with all their outputs, or failures
	read        reading

	// waiting requests are to be handed out first; touched by one goroutine at a
	// time: the source of a feed, or between feeds the loop that made it.
	waiting  []part
	suspects []group // to be run apart
	apart    bool    // such a group is in the engine, and nothing else
	perhaps  []*task // to be quarantined once it is sure that the engine works

	mu       sync.Mutex
	flying   map[int64]part // handed out and without a result
	nextID   int64
	deaths   int   // in a row
	unstored error // why results could not be written

	outputTokens atomic.Int64
	vocabulary   vocabulary
	start        time.Time
	before       output.Counts // of earlier starts
}

// Run executes the job. Rows that fail have a result that says why and are no
// error. When ctx ends, its cause is returned; the rows that were finished stay,
// as after every other error, and another Run goes on with the rest.
func Run(ctx context.Context, job Job) error {
	r := &run{
		Job: job, ready: make(chan []*task, 1), ended: make(chan []*task, 64),
		flying: map[int64]part{}, before: job.Store.Counts(),
	}
	r.Callers, r.Deaths = max(r.Callers, 1), cmp.Or(r.Deaths, defaultDeaths)
	if r.Log == nil {
		r.Log = func(string) {}
	}
	if r.Sleep == nil {
		r.Sleep = sleep
	}
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	defer r.cancel(nil)
	err := r.execute()
	state, rows := output.Complete, r.read.rows.Load()
	if err != nil {
		state, rows = output.Interrupted, 0
	}
	return errors.Join(err, r.Store.Finish(state, rows))
}

// execute opens the first engine, without which the limits of the model are not
// known, and runs everything else around the feeds.
func (r *run) execute() error {
	e, err := r.Open(r.ctx)
	if err != nil {
		return err
	}
	r.limits, r.start = limits{modelLen: e.Info().MaxModelLen}, time.Now()
	if info := e.Info(); info.PrefixCaching {
		r.prefixBlock = info.KVBlockSize
	}
	var readers, writers sync.WaitGroup
	readers.Add(1)
	go func() { defer readers.Done(); r.prepare() }()
	for range r.Callers {
		writers.Add(1)
		go func() { defer writers.Done(); r.writeEnded() }()
	}
	err = r.feedAll(e)
	r.cancel(err) // nothing more is read; nil after the end of the input
	readers.Wait()
	close(r.ended)
	writers.Wait()
	r.show()
	if err == nil {
		err = r.unstored // of the last results
	}
	return err
}

// feedAll keeps an engine running until every row has an end.
func (r *run) feedAll(e engine.Feeder) (err error) {
	defer func() {
		if e != nil {
			_ = e.Close() // the rows are in: what goes wrong now harms none
		}
	}()
	for {
		if e == nil {
			if e, err = r.reopen(); err != nil {
				return err
			}
			if e == nil {
				continue
			}
		}
		over, err := r.feed(e)
		switch {
		case r.ctx.Err() != nil:
			return context.Cause(r.ctx)
		case err == nil && over:
			r.condemn()
			return nil
		case err == nil:
			continue
		}
		_ = e.Close() // dead, or in a state that nobody knows
		seqs := e.Info().MaxNumSeqs
		e = nil
		if err := r.died(err, seqs); err != nil {
			return err
		}
	}
}

// mostSuspects is how many groups of suspects may wait for the end of the input:
// they are held in memory.
const mostSuspects = 256

// feed runs one group of suspects, or else all rows that are not suspect. over
// says that nothing is left.
func (r *run) feed(e engine.Feeder) (over bool, err error) {
	if r.read.drained && len(r.waiting) == 0 && len(r.suspects) == 0 {
		return true, nil
	}
	f := engine.Feed{Concurrency: r.Concurrency, KeepTokens: true}
	source := r.source
	r.apart = false
	if len(r.suspects) > mostSuspects || len(r.suspects) > 0 && r.read.drained && len(r.waiting) == 0 {
		g := r.suspects[0]
		r.suspects = r.suspects[1:]
		source, r.apart = r.sourceOf(g), true
	}
	err = e.Feed(r.ctx, f, source, r.sink)
	if err == nil {
		r.loseAborted()
	}
	return false, err
}

// reopen opens an engine after a death. None and no error: try again.
func (r *run) reopen() (engine.Feeder, error) {
	r.Sleep(r.ctx, r.pause())
	if r.ctx.Err() != nil {
		return nil, context.Cause(r.ctx)
	}
	e, err := r.Open(r.ctx)
	if err == nil {
		r.Log("the engine is open again")
		return e, nil
	}
	if r.ctx.Err() != nil {
		return nil, context.Cause(r.ctx)
	}
	return nil, r.countDeath(fmt.Errorf("open the engine again: %w", err))
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
