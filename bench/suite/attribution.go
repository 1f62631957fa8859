package suite

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"

	"stepbench/bench/bottleneck"
	"stepbench/bench/micro"
	"stepbench/bench/record"
	"stepbench/bench/stats"
	"stepbench/engine"
)

// attribute profiles steps of the shapes that the engine's points ran, and keeps
// the device's busy time in them. It comes after all timing: a profiler can slow
// its process for good. What goes wrong is noted in the result, and is no error.
func (s *session) attribute(ctx context.Context) error {
	shapes, err := s.shapes()
	if err != nil {
		return err
	}
	if len(shapes) == 0 {
		return nil // nothing was measured
	}
	if err := s.open(ctx); err != nil || s.e.Problem != "" {
		return err
	}
	s.Progress.Stage("%s: profiling %d shapes of steps", s.e.Name, len(shapes))
	a, err := s.profile(ctx, shapes)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		a.Problem = reason(err)
		s.close()
	}
	path := s.e.Dir + "/" + AttributionFile
	if err := os.MkdirAll(filepath.Join(s.dir, filepath.FromSlash(s.e.Dir)), 0o755); err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(s.dir, filepath.FromSlash(path)), a); err != nil {
		return err
	}
	s.e.Attribution = path
	return nil
}

// effort is how much attribution an engine gets.
type effort struct {
	decodes, prefills, mixed int     // shapes at most
	bursts                   int     // of each kind, per shape
	steps                    int     // of a burst at most, and
	burstNs                  float64 // in about this time
}

func (s *session) effort() effort {
	if s.m.Profile == ProfileQuick {
		return effort{decodes: 3, prefills: 2, mixed: 1, bursts: 1, steps: 6, burstNs: 0.4e9}
	}
	return effort{decodes: 5, prefills: 3, mixed: 2, bursts: 3, steps: 16, burstNs: 1e9}
}

// profile plays bursts of each shape, without and with the profiler.
func (s *session) profile(ctx context.Context, shapes []weighed) (*bottleneck.Attribution, error) {
	a := &bottleneck.Attribution{}
	info := s.worker.Info()
	driver, err := micro.NewDriver(s.worker, 1, nil)
	if err != nil {
		return a, err
	}
	var ceilings struct {
		CopyBytesPerS  float64 `json:"copy_bytes_per_s"`
		MatmulFLOPPerS float64 `json:"matmul_flop_per_s"`
	}
	if err := s.worker.Call(ctx, "ceilings", map[string]string{"dtype": info.DType}, &ceilings); err != nil {
		a.Problem = "ceilings: " + reason(err)
	}
	a.CopyBytesPerS, a.MatmulFLOPPerS = ceilings.CopyBytesPerS, ceilings.MatmulFLOPPerS
	warm := false
	for i, sh := range shapes {
		cell, ok := sh.cell()
		if !ok || len(driver.Check([]micro.Cell{cell})) > 0 {
			continue // it does not fit whole: a chunk, or beside others
		}
		if !warm { // the profiler's own start
			if _, err := s.bursts(ctx, driver, cell, sh.wallNs, true, 1, fmt.Sprintf("start/%d", i)); err != nil {
				return a, err
			}
			warm = true
		}
		plain, err1 := s.bursts(ctx, driver, cell, sh.wallNs, false, s.effort().bursts, fmt.Sprintf("plain/%d", i))
		if err1 != nil {
			return a, err1
		}
		profiled, err2 := s.bursts(ctx, driver, cell, sh.wallNs, true, s.effort().bursts, fmt.Sprintf("profiled/%d", i))
		if err2 != nil {
			return a, err2
		}
		if len(plain) == 0 || len(profiled) == 0 {
			continue
		}
		b := bottleneck.Bucket{CtxTokens: sh.prompts * sh.promptTokens, GenReqs: sh.decodes}
		var walls, busy, sums, collective []float64
		for _, p := range plain {
			walls = append(walls, p.WallNs)
		}
		for _, p := range profiled {
			a.Unit = p.Profile.Unit
			b.Steps += p.Steps
			busy, sums = append(busy, p.Profile.BusyNs), append(sums, p.Profile.SumNs)
			collective = append(collective, p.Profile.CollectiveFrac)
			b.Ranks = nil // of the last burst
			for _, r := range p.Profile.Ranks {
				b.Ranks = append(b.Ranks, bottleneck.RankTime(r))
			}
		}
		b.WallNs, b.BusyNs, b.SumNs = stats.Median(sorted(walls)), stats.Median(sorted(busy)), stats.Median(sorted(sums))
		b.CollectiveFrac = stats.Median(sorted(collective))
		cached := sh.prompts*sh.promptTokens + sh.decodes*sh.context
		// Of one rank, as the ceilings are.
		b.ReadBytes = micro.ReadBytes(s.e.Config.Model.Shape, info.DType, cached) / float64(s.e.Config.Ranks())
		a.Buckets = append(a.Buckets, b)
	}
	if len(a.Buckets) == 0 && a.Problem == "" {
		a.Problem = "no burst of any shape counted"
	}
	return a, nil
}

func sorted(x []float64) []float64 {
	slices.Sort(x)
	return x
}

// leastSteps of a burst, however long they are.
const leastSteps = 2

// bursts plays n that count, with one more try for each. stepNs is how long the
// suite's own steps of this shape took.
func (s *session) bursts(ctx context.Context, d *micro.Driver, c micro.Cell, stepNs float64, profile bool, n int, key string) ([]*micro.Burst, error) {
	e := s.effort()
	steps := min(e.steps, d.Room(c), max(leastSteps, int(e.burstNs/max(1, stepNs))))
	var out []*micro.Burst
	for i := 0; i < 2*n && len(out) < n; i++ {
		b, err := d.Play(ctx, micro.BurstSpec{
			Cell: c, Steps: steps, Profile: profile, Key: fmt.Sprintf("%s/%d", key, i),
		})
		if err != nil {
			return out, err
		}
		if b.Drop == "" && b.Steps > 0 && (!profile || b.Profile != nil) {
			out = append(out, b)
		}
	}
	return out, nil
}

// shape is the composition of a step.
type shape struct {
	prompts, promptTokens int // of one prompt
	decodes, context      int // tokens of one, this step's included
}

func (sh shape) cell() (micro.Cell, bool) {
	var b micro.Batch
	if sh.prompts > 0 {
		b = append(b, micro.Group{Count: sh.prompts, Query: sh.promptTokens, Total: sh.promptTokens})
	}
	if sh.decodes > 0 {
		b = append(b, micro.Group{Count: sh.decodes, Query: 1, Total: sh.context})
	}
	cells, err := micro.Grid{Singles: []micro.Batch{b}}.Cells()
	if err != nil || len(cells) != 1 {
		return micro.Cell{}, false
	}
	return cells[0], true
}

// weighed is a step's composition and how long it took.
type weighed struct {
	shape
	size   int // by which shapes of a kind are ordered
	wallNs float64
}

// shapes picks those that stand for all the engine's steps: of each kind, the
// quantiles of the size weighed by wall time, the extremes included.
func (s *session) shapes() ([]weighed, error) {
	var prefill, decode, mixed []weighed
	for _, t := range s.plan[s.e.Name] {
		if t.repeat.State != record.Complete {
			continue
		}
		rec, err := record.Open(filepath.Join(s.dir, filepath.FromSlash(t.repeat.Dir)))
		if err != nil {
			return nil, err
		}
		for i := range rec.Steps {
			w, phase := weigh(&rec.Steps[i], s.e.Info)
			switch phase {
			case "prefill":
				prefill = append(prefill, w)
			case "decode":
				decode = append(decode, w)
			case "mixed":
				mixed = append(mixed, w)
			}
		}
	}
	n := s.effort()
	out := quantiles(decode, n.decodes)
	out = append(out, quantiles(prefill, n.prefills)...)
	return append(out, quantiles(mixed, n.mixed)...), nil
}

// shortest is a context that every model has room for.
const shortest = 16

// weigh describes a step. Its requests share its tokens evenly; what their
// contexts are, the use of the KV cache tells.
func weigh(st *engine.Step, info *engine.Info) (weighed, string) {
	w := weighed{wallNs: float64(st.WallNs())}
	gen := int(st.GenReqs)
	if st.CtxTokens == 0 && st.PaddedTokens > st.GenReqs && st.GenTokens == st.GenReqs {
		gen = int(st.PaddedTokens)
	}
	if st.CtxTokens > 0 {
		w.prompts = max(1, int(st.CtxReqs))
		w.promptTokens = max(1, int(st.CtxTokens)/w.prompts)
	}
	if gen > 0 {
		w.decodes, w.context = gen, 8*shortest
		if cached := st.KVUsageFrac * float64(info.KVBlocks*info.KVBlockSize); cached > 0 {
			w.context = max(shortest, int(math.Round(cached/float64(st.GenReqs+st.CtxReqs))))
		}
		if info.MaxModelLen > 0 { // room for a burst after it
			w.context = min(w.context, max(shortest, info.MaxModelLen-4*shortest))
		}
	}
	w.size = w.prompts*w.promptTokens + w.decodes
	return w, st.Phase()
}

// quantiles picks at most n of steps of one kind, evenly over their time, the
// smallest and the largest included; of one alone, the middle. Contexts are the
// medians of those of equal size.
func quantiles(steps []weighed, n int) []weighed {
	if len(steps) == 0 || n < 1 {
		return nil
	}
	slices.SortStableFunc(steps, func(a, b weighed) int {
		return cmp.Or(cmp.Compare(a.size, b.size), cmp.Compare(a.context, b.context))
	})
	total := 0.0
	for i := range steps {
		total += steps[i].wallNs
	}
	at := func(q float64) int {
		sum := 0.0
		for i := range steps {
			if sum += steps[i].wallNs; sum >= q*total {
				return i
			}
		}
		return len(steps) - 1
	}
	var out []weighed
	for k := range n {
		q := 0.5
		if n > 1 {
			q = float64(k) / float64(n-1)
		}
		i := at(q)
		lo, hi := i, i
		for lo > 0 && steps[lo-1].size == steps[i].size {
			lo--
		}
		for hi < len(steps)-1 && steps[hi+1].size == steps[i].size {
			hi++
		}
		sh := steps[(lo+hi)/2]
		if !slices.ContainsFunc(out, func(o weighed) bool {
			return o.prompts*o.promptTokens == sh.prompts*sh.promptTokens && o.decodes == sh.decodes
		}) {
			out = append(out, sh)
		}
	}
	return out
}
