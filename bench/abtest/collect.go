package abtest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"stepbench/bench/abtest/estimate"
	"stepbench/bench/abtest/numerics"
	"stepbench/bench/micro"
	"stepbench/engine"
)

// Job says what to compare and how.
type Job struct {
	A, B   Side
	Cells  []micro.Cell
	Plan   estimate.Plan
	WarmUp time.Duration // of each launch, at least
	Seed   uint64
	Model  engine.Model
	Target []string // ops under test; those of the variants where empty
	// Code, if not nil, gives Evidence.Code for the engines of the first launch.
	Code func(ctx context.Context, info [2]engine.Info) (map[string]Code, error)

	// Open starts an arm of a launch, numbered from 1.
	Open func(ctx context.Context, side Side, launch int) (Arm, error)
	// Together is how many launches have their workers opened side by side,
	// before the first of them is measured; the later ones' stay idle. 0 means 1.
	Together int
	// Apart has each arm run all its bursts before the other begins, which is first
	// alternating by launch: work of two models spread over the same devices, in turns
	// a burst long, can bias the collectives that either waits in.
	Apart bool
	// Stagger is how much earlier the first arm of a pair starts.
	Stagger time.Duration
	// Check compares the outputs of the arms of the first launch, once warm;
	// nil leaves them unchecked. An *ArmError in its error says whose it is.
	Check func(ctx context.Context, arms [2]Arm) (numerics.Report, error)
	// Watch, if not nil, observes the machine during each launch. Residents are
	// the processes of later launches, which are open and should be idle.
	Watch func(arms [2]Arm, info [2]engine.Info, residents []int) Watch
	// Decide gives the verdict so far, which says whether a plan with another
	// look goes on; nil ends it at the first.
	Decide func(*Evidence) estimate.Verdict
	// Deadline, if set, is when no further quad is begun.
	Deadline time.Time
	// Progress, if not nil, is told of every burst before it runs.
	Progress func(Progress)
	// Record, if not nil, is given each burst when it has ended.
	Record func(launch int, b Burst) error
}

// Watch observes the machine during one launch.
type Watch interface {
	// Burst is told of every burst that ended.
	Burst(b *Burst)
	// End gives what the gates of the machine say of the launch.
	End() []Gate
}

// Progress is where a comparison is.
type Progress struct {
	Launch, Launches int
	Stage            string // opening, warm-up, outputs, timing, attribution
	Cell             string
	Quad, Quads      int
}

// extension bounds the quads run to replace dropped ones, as a multiple of the
// plan's.
const extension = 2

// collector runs the launches of a job.
type collector struct {
	job      Job
	evidence *Evidence
	order    *rand.Rand
	planned  int // launches, up to the next look
	done     int
}

// Collect runs the comparison. An arm that dies, hangs or breaks is no error
// but a Failure in the evidence, and what was measured before it stays; so does
// what was measured before ctx ended, which sets Interrupted. The error says
// that an engine could not be opened or a record not be kept.
func Collect(ctx context.Context, job Job) (*Evidence, error) {
	c := &collector{job: job, order: rng(job.Seed, "order"), evidence: &Evidence{
		Sides: [2]Side{job.A, job.B}, Plan: job.Plan, Model: job.Model, Seed: job.Seed,
		Target: targets(job), BurstSteps: map[string]int{},
		Outputs: numerics.Unchecked("not compared"),
	}}
	for _, cell := range job.Cells {
		c.evidence.Cells = append(c.evidence.Cells, cell.Name())
	}
	start := time.Now()
	err := c.run(ctx)
	c.evidence.ElapsedS = time.Since(start).Seconds()
	var failed *Failure
	switch {
	case err == nil:
	case ctx.Err() != nil:
		c.evidence.Interrupted = true
		err = nil
	case errors.As(err, &failed):
		c.evidence.Failure = failed
		err = nil
	case errors.Is(err, errTimeUp):
		c.evidence.TimeUp = true
		err = nil
	}
	return c.evidence, err
}

// errTimeUp ends a comparison that has used the time it was given.
var errTimeUp = errors.New("the time allowed is up")

// targets are the ops under test: those of the variants unless the job says.
func targets(job Job) []string {
	if len(job.Target) > 0 {
		return job.Target
	}
	all := map[string]bool{}
	for _, side := range []Side{job.A, job.B} {
		if side.Variant != nil {
			for _, op := range side.Variant.Ops {
				all[op] = true
			}
		}
	}
	return sortedKeys(all)
}

func (c *collector) run(ctx context.Context) error {
	plan := c.job.Plan
	for c.planned = plan.Looks[0].Launches; ; {
		if err := c.launches(ctx); err != nil {
			return err
		}
		if c.job.Decide == nil {
			return nil
		}
		more := plan.More(c.done, c.job.Decide(c.evidence))
		if more == 0 {
			return nil
		}
		c.planned = c.done + more
	}
}

// launches runs those that are planned and not done.
func (c *collector) launches(ctx context.Context) error {
	for c.done < c.planned {
		if c.timeUp() {
			return errTimeUp
		}
		last := min(c.done+max(1, c.job.Together), c.planned)
		c.progress(Progress{Launch: c.done + 1, Stage: "opening"})
		pairs, err := c.openPairs(ctx, c.done+1, last)
		if err != nil {
			return err
		}
		for i, p := range pairs {
			if err == nil {
				err = c.launch(ctx, p, pids(pairs[i+1:]))
				c.done++
			}
			p.close()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *collector) timeUp() bool {
	return !c.job.Deadline.IsZero() && time.Now().After(c.job.Deadline)
}

func (c *collector) progress(p Progress) {
	if c.job.Progress != nil {
		p.Launches = c.planned
		c.job.Progress(p)
	}
}

// launch measures one pair of arms.
func (c *collector) launch(ctx context.Context, p *pair, residents []int) error {
	l := &launch{collector: c, arms: p.arms, residents: residents, Launch: Launch{Number: p.number, First: p.first, OpenS: p.openS}}
	err := l.measure(ctx)
	if len(l.Bursts) > 0 {
		c.evidence.Launches = append(c.evidence.Launches, l.Launch)
	}
	return err
}

// rng is a random stream of its own for each purpose.
func rng(seed uint64, purpose string) *rand.Rand {
	key := fmt.Sprintf("stepbench ab\nseed %d\n%s\n", seed, purpose)
	return rand.New(rand.NewChaCha8(sha256.Sum256([]byte(key))))
}
