package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"stepbench/bench/abtest"
	"stepbench/bench/micro"
	"stepbench/engine"
)

// progress shows on stderr how far a run has come: one line rewritten in place
// on a terminal, only the stages elsewhere.
type progress struct {
	out      io.Writer
	terminal bool
	drawn    bool // the cursor is behind an unfinished line
	shown    time.Time
}

const redrawEvery = 200 * time.Millisecond

func newProgress(out io.Writer) *progress {
	f, ok := out.(*os.File)
	return &progress{
		out:      out,
		terminal: ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb",
	}
}

// stage begins a part of the work.
func (p *progress) stage(format string, args ...any) {
	p.clear()
	fmt.Fprintf(p.out, "stepbench: "+format+"\n", args...)
}

// update shows the state of a plan in execution.
func (p *progress) update(s engine.Progress) {
	now := time.Now()
	if !p.terminal || now.Sub(p.shown) < redrawEvery {
		return
	}
	p.shown, p.drawn = now, true
	fmt.Fprintf(p.out, "\r\033[K%s", progressLine(s))
}

// cell shows which shape is being measured.
func (p *progress) cell(s micro.Progress) {
	if !p.terminal {
		return
	}
	p.drawn = true
	fmt.Fprintf(p.out, "\r\033[K%s %s, round %d, %d shapes left in this stage", s.Stage, s.Cell, s.Round+1, s.Left)
}

// comparison shows where an A/B comparison is: its stages everywhere, its quads
// on a terminal.
func (p *progress) comparison(at abtest.Progress) {
	stage := fmt.Sprintf("launch %d of %d: %s", at.Launch, at.Launches, at.Stage)
	if at.Cell != "" {
		stage += " " + at.Cell
	}
	if at.Quad <= 1 {
		p.stage("%s", stage)
	}
	if p.terminal && at.Quads > 0 {
		p.drawn = true
		fmt.Fprintf(p.out, "\r\033[K%s, quad %d of %d", stage, at.Quad, at.Quads)
	}
}

func (p *progress) clear() {
	if p.drawn {
		fmt.Fprint(p.out, "\r\033[K")
		p.drawn = false
	}
}

// progressLine gives counts, rates and the time left at the rate so far.
func progressLine(s engine.Progress) string {
	seconds := float64(s.ElapsedNs) / 1e9
	ended := s.Finished + s.Failed
	line := fmt.Sprintf("%d/%d requests", ended, s.Total)
	if s.Failed > 0 {
		line += fmt.Sprintf(" (%d failed)", s.Failed)
	}
	if seconds > 0 {
		line += fmt.Sprintf("  %.2f req/s  %.1f output tok/s", float64(ended)/seconds, float64(s.OutputTokens)/seconds)
	}
	if ended > 0 && ended < s.Total {
		left := seconds / float64(ended) * float64(s.Total-ended)
		line += fmt.Sprintf("  ETA %s", time.Duration(left*float64(time.Second)).Round(time.Second))
	}
	return line
}
