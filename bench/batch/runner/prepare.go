package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"stepbench/bench/batch"
	"stepbench/engine"
)

// Rows are read and encoded by the load: its first is small, so that the engine
// starts soon; later ones are large, so that ordering by length has something to
// order. Three are in memory at most, whatever the size of the input.
const (
	firstLoadRows = 256
	mostLoadRows  = 4096
	mostLoadBytes = 32 << 20 // of prompts
	callItems     = 64       // of one call of Texts
)

// reading is how far the input is.
type reading struct {
	rows    atomic.Int64 // of all shards
	mine    atomic.Int64 // of this one, done or not
	whole   atomic.Bool  // the end was reached
	err     error        // that ended it; set before ready is closed
	drained bool         // ready is closed; of the goroutine that feeds
}

// prepare fills ready.
func (r *run) prepare() {
	defer close(r.ready)
	for size := firstLoadRows; ; size = min(2*size, mostLoadRows) {
		load, err := r.load(size)
		end := errors.Is(err, io.EOF)
		r.read.whole.Store(end)
		if err == nil || end {
			if failed := r.encode(load); failed != nil {
				err, end = failed, false
			}
		}
		if err != nil && !end {
			r.read.err = err
			return
		}
		runnable, failed := split(load)
		if !r.put(r.ended, failed) || !r.put(r.ready, runnable) || end {
			return
		}
	}
}

// put is false once the run is over.
func (r *run) put(to chan<- []*task, tasks []*task) bool {
	if len(tasks) == 0 {
		return r.ctx.Err() == nil
	}
	select {
	case to <- tasks:
		return true
	case <-r.ctx.Done():
		return false
	}
}

// load reads the next rows that have no result.
func (r *run) load(size int) (tasks []*task, err error) {
	strikes := r.Store.Strikes()
	for bytes := 0; len(tasks) < size && bytes < mostLoadBytes; {
		if r.ctx.Err() != nil {
			return tasks, context.Cause(r.ctx)
		}
		row, err := r.Rows.Next()
		if err != nil {
			return tasks, err
		}
		r.read.rows.Add(1)
		if r.Mine != nil && !r.Mine(row.Index) {
			continue
		}
		r.read.mine.Add(1)
		if r.Store.Done(row.Index) {
			continue
		}
		t := &task{row: row, strikes: strikes[row.Index]}
		if row.Err != nil {
			t.fail(codeInvalid, "%s", row.Err.Error())
		}
		tasks = append(tasks, t)
		bytes += len(row.Messages) + len(row.Text) + 4*len(row.Tokens)
	}
	return tasks, nil
}

// encode gives the tasks their tokens and requests, and puts them in order.
func (r *run) encode(load []*task) error {
	perplexity := wantsPerplexity(r.Metrics)
	var all sync.WaitGroup
	errs := make(chan error, r.Callers)
	chunks := make(chan []*task)
	for range r.Callers {
		all.Add(1)
		go func() {
			defer all.Done()
			var failed error
			for chunk := range chunks {
				if failed == nil {
					failed = r.encodeChunk(chunk)
				}
				for _, t := range chunk {
					if failed == nil && t.failure == nil {
						t.ask(r.limits, perplexity)
					}
				}
			}
			errs <- failed
		}()
	}
	for chunk := range slices.Chunk(load, callItems) {
		chunks <- chunk
	}
	close(chunks)
	all.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return fmt.Errorf("encode prompts: %w", err)
		}
	}
	if !r.InputOrder {
		longestFirst(load)
		if r.prefixBlock > 0 {
			byPrefix(load, r.prefixBlock, 0)
		}
	}
	return nil
}

// encodeChunk tokenises what the rows of a chunk hold.
func (r *run) encodeChunk(chunk []*task) error {
	var texts []string
	var chats []json.RawMessage
	var ofText, ofChat []*task
	for _, t := range chunk {
		switch {
		case t.failure != nil:
		case t.row.Messages != nil:
			chats, ofChat = append(chats, t.row.Messages), append(ofChat, t)
		case t.row.Tokens != nil:
			t.prompt = t.row.Tokens
		default:
			texts, ofText = append(texts, t.row.Text), append(ofText, t)
		}
	}
	encoded, err1 := oneByOne(r.ctx, texts, r.Texts.Encode, encodingFailed)
	chatted, err2 := oneByOne(r.ctx, chats, r.Texts.Chat, encodingFailed)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	give(ofText, encoded)
	give(ofChat, chatted)
	return r.encodeOptions(chunk)
}

func encodingFailed(err error) engine.Encoded { return engine.Encoded{Err: err.Error()} }

func give(tasks []*task, encoded []engine.Encoded) {
	for i, t := range tasks {
		t.prompt = encoded[i].Tokens
		if e := encoded[i].Err; e != "" {
			t.fail(codeInvalid, "%s", (&batch.RowError{Place: t.row.Place, Message: "the prompt cannot be encoded: " + e}).Error())
		}
	}
}

// encodeOptions tokenises the options of the chunk's multiple choices.
func (r *run) encodeOptions(chunk []*task) error {
	var texts []string
	var of []*task
	for _, t := range chunk {
		if t.failure != nil {
			continue
		}
		for _, option := range t.row.Options {
			texts, of = append(texts, option), append(of, t)
		}
	}
	encoded, err := oneByOne(r.ctx, texts, r.Texts.EncodePlain, encodingFailed)
	if err != nil {
		return err
	}
	for i, t := range of {
		t.options = append(t.options, encoded[i].Tokens)
		if e := encoded[i].Err; e != "" {
			t.fail(codeInvalid, "%s", (&batch.RowError{Place: t.row.Place, Message: "an option cannot be encoded: " + e}).Error())
		}
	}
	return nil
}

// split sorts out the tasks that have failed already.
func split(load []*task) (runnable, failed []*task) {
	for _, t := range load {
		if t.failure != nil {
			failed = append(failed, t)
		} else {
			runnable = append(runnable, t)
		}
	}
	return runnable, failed
}

// oneByOne makes a call for all items, or if they kill the process that answers,
// one for each, so that only those fail that do. If all of several do, it is not
// the items' fault.
func oneByOne[Q, R any](ctx context.Context, items []Q, call func(context.Context, []Q) ([]R, error), failed func(error) R) ([]R, error) {
	if len(items) == 0 {
		return nil, nil
	}
	all, err := call(ctx, items)
	var died *engine.WorkerError
	if !errors.As(err, &died) || ctx.Err() != nil {
		return all, err
	}
	all = make([]R, len(items))
	deaths := 0
	for i := range items {
		one, err := call(ctx, items[i:i+1])
		switch {
		case err == nil:
			all[i] = one[0]
		case errors.As(err, &died) && ctx.Err() == nil:
			all[i] = failed(err)
			deaths++
		default:
			return nil, err
		}
	}
	if deaths > 1 && deaths == len(items) {
		return nil, err
	}
	return all, nil
}
