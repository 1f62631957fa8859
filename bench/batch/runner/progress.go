package runner

import "time"

// Progress is how far a run has come. Done, Failed and Rows count all starts of
// the run, the rates this one alone.
type Progress struct {
	Done, Failed int64 // Failed are among Done
	// Rows of this shard: their number, once Exact, before that an estimate by the
	// part of the files that was read, or 0 where that is not known.
	Rows  int64
	Exact bool

	RowsPerS         float64
	OutputTokensPerS float64
	Left             time.Duration // at this rate; 0: not known
}

// show calls Job.Progress. It is called by one goroutine at a time.
func (r *run) show() {
	if r.Progress == nil {
		return
	}
	counts := r.Store.Counts()
	p := Progress{Done: counts.Done, Failed: counts.Failed, Rows: r.read.mine.Load(), Exact: r.read.whole.Load()}
	if read, total := r.Rows.Progress(); !p.Exact {
		if total > 0 && read > 0 {
			p.Rows = int64(float64(p.Rows) * float64(total) / float64(read))
		} else {
			p.Rows = 0
		}
	}
	if passed := time.Since(r.start).Seconds(); passed > 0 {
		p.RowsPerS = float64(counts.Done-r.before.Done) / passed
		p.OutputTokensPerS = float64(r.outputTokens.Load()) / passed
	}
	if left := p.Rows - p.Done; left > 0 && p.RowsPerS > 0 {
		p.Left = time.Duration(float64(left) / p.RowsPerS * float64(time.Second))
	}
	r.Progress(p)
}
