package main

import (
	"fmt"
	"sync"
	"time"

	"stepbench/bench/batch/runner"
)

// batchProgress shows a batch on a terminal all the time, elsewhere a line now
// and then: a log of hours must stay readable.
type batchProgress struct {
	mu sync.Mutex
	p  *progress
	// next is when the next line is due.
	next  time.Time
	every time.Duration
}

const (
	firstLineAfter = 10 * time.Second
	mostSilence    = 5 * time.Minute
)

func newBatchProgress(p *progress) *batchProgress { return &batchProgress{p: p} }

// begin starts the clock of the lines, which come ever more seldom.
func (b *batchProgress) begin() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.every = firstLineAfter
	b.next = time.Now().Add(b.every)
}

func (b *batchProgress) log(line string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.p.stage("%s", line)
}

func (b *batchProgress) update(s runner.Progress) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	switch {
	case b.p.terminal && now.Sub(b.p.shown) >= redrawEvery:
		b.p.shown, b.p.drawn = now, true
		fmt.Fprintf(b.p.out, "\r\033[K%s", batchLine(s))
	case !b.p.terminal && now.After(b.next):
		b.p.stage("%s", batchLine(s))
		b.every = min(2*b.every, mostSilence)
		b.next = now.Add(b.every)
	}
}

// batchLine gives counts, rates and the time left at the rate so far.
func batchLine(s runner.Progress) string {
	line := fmt.Sprintf("%d rows", s.Done)
	switch {
	case s.Exact:
		line = fmt.Sprintf("%d/%d rows", s.Done, s.Rows)
	case s.Rows > 0:
		line = fmt.Sprintf("%d of about %d rows", s.Done, s.Rows)
	}
	if s.Failed > 0 {
		line += fmt.Sprintf(" (%d failed)", s.Failed)
	}
	line += fmt.Sprintf("  %.2f rows/s  %.1f output tok/s", s.RowsPerS, s.OutputTokensPerS)
	if s.Left > 0 {
		line += fmt.Sprintf("  ETA %s", s.Left.Round(time.Second))
	}
	return line
}
