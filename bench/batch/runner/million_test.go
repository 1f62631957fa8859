package runner

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"stepbench/bench/batch"
	"stepbench/engine"
	"stepbench/engine/enginetest"
)

// endless makes rows as they are read, n of them.
type endless struct {
	n  int64
	at atomic.Int64
}

func (e *endless) Next() (*batch.Row, error) {
	i := e.at.Load()
	if i == e.n {
		return nil, io.EOF
	}
	e.at.Add(1)
	return &batch.Row{
		Index: i, ID: fmt.Sprint("row-", i), Place: batch.Place{File: "in", Line: i + 1},
		Text: strings.Repeat("word ", int(20+i*7919%80)), Sampling: engine.Sampling{MaxTokens: 64},
	}, nil
}

func (e *endless) Progress() (int64, int64) { return e.at.Load(), e.n }

// TestMillion says how fast rows pass, and in how much memory, when the engine
// takes no time. STEPBENCH_TEST_MILLION is the number of rows; a million need
// some minutes and 1 GB of disk.
func TestMillion(t *testing.T) {
	rows, err := strconv.ParseInt(os.Getenv("STEPBENCH_TEST_MILLION"), 10, 64)
	if err != nil {
		t.Skip("STEPBENCH_TEST_MILLION is not set to a number of rows")
	}
	const tenths = 10
	var peak uint64
	var stamps []time.Time
	b := newBench(t, nil, func(b *bench) {
		b.Open = func(context.Context) (engine.Feeder, error) {
			return enginetest.Engine{Fake: &enginetest.Fake{Clock: &enginetest.Clock{}, MaxSeqs: 256, Forgetful: true}}, nil
		}
		b.Job.Progress = func(p Progress) {
			for int64(len(stamps)) <= p.Done*tenths/rows {
				var ms runtime.MemStats
				runtime.ReadMemStats(&ms)
				peak = max(peak, ms.Sys)
				stamps = append(stamps, time.Now())
				t.Logf("%8d rows, %6.0f rows/s, heap %d MiB, from the system %d MiB", p.Done, p.RowsPerS, ms.HeapAlloc>>20, ms.Sys>>20)
			}
		}
	})
	b.Rows = &endless{n: rows}
	if err := Run(t.Context(), b.Job); err != nil {
		t.Fatal(err)
	}
	if peak > 600<<20 {
		t.Errorf("%d MiB of memory", peak>>20)
	}
	first, last := stamps[1].Sub(stamps[0]), stamps[tenths].Sub(stamps[tenths-1])
	t.Logf("the first tenth took %s, the last %s", first, last)
}
