package micro

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stepbench/bench/micro/microtest"
	"stepbench/engine"
)

var gpt2Shape = &engine.ModelShape{
	Architecture: "GPT2LMHeadModel", Layers: 12, Hidden: 768, Intermediate: 3072, Heads: 12, KVHeads: 12, HeadDim: 64,
	Vocab: 50257, MaxPositions: 1024, Parameters: 124_439_808,
}

func testOptions(rules Rules) Options {
	return Options{
		Rules: rules, Seed: 1, Attribution: true,
		Model: engine.Model{Name: "gpt2", Shape: gpt2Shape}, Ceilings: Ceilings{CopyBytesPerS: 1e12, MatmulFLOPPerS: 1e14},
	}
}

func testCells(t testing.TB, list string) []Cell {
	t.Helper()
	batches, err := ParseBatches("--shape", list)
	if err != nil {
		t.Fatal(err)
	}
	cells, err := Grid{Singles: batches}.Cells()
	if err != nil {
		t.Fatal(err)
	}
	return cells
}

func mustRun(t testing.TB, p Player, list string, opt Options) *Results {
	t.Helper()
	res, err := Run(context.Background(), p, testCells(t, list), opt)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

const grid = "q64,2q256,q1s64,4q1s256,8q1s768,q64_4q1s256"

func TestRunQuick(t *testing.T) {
	res := mustRun(t, microtest.New(microtest.DefaultCost(), 1), grid, testOptions(QuickRules()))
	want := map[string]time.Duration{ // by composition, see microtest.DefaultCost
		"q64": 3280 * time.Microsecond, "2q256": 12240 * time.Microsecond, "q1s64": 2100 * time.Microsecond,
		"4q1s256": 2400 * time.Microsecond, "8q1s768": 2800 * time.Microsecond, "q64_4q1s256": 3680 * time.Microsecond,
	}
	for _, c := range res.Cells {
		name := c.Cell.Name()
		if got := time.Duration(c.Wall.MedianNs); got != want[name] {
			t.Errorf("%s: step of %v, want %v", name, got, want[name])
		}
		if !c.Valid || len(c.Discarded) != 0 {
			t.Errorf("%s: valid %v, discarded %v", name, c.Valid, c.Discarded)
		}
		// Without noise three rounds are as good as any number.
		if len(c.Rounds) != 3 || c.Steps != 24 || c.Wall.CIMethod != IntervalStudent {
			t.Errorf("%s: %d rounds with %d steps, interval by %q", name, len(c.Rounds), c.Steps, c.Wall.CIMethod)
		}
		if want := []string{FlagHostLimited, FlagQuick}; !slices.Equal(c.Flags, want) {
			t.Errorf("%s: flags %v, want %v", name, c.Flags, want)
		}
		tokens := float64(c.Cell.Batch.queryTokens())
		if got := c.TokensPerS * c.Wall.MedianNs / 1e9; math.Abs(got-tokens) > 1e-9 {
			t.Errorf("%s: %g tokens a step, want %g", name, got, tokens)
		}
	}
	checkContexts(t, res)
	checkSums(t, res)
}

// checkContexts asserts that the contexts lie around those asked for.
func checkContexts(t *testing.T, res *Results) {
	t.Helper()
	for _, c := range res.Cells {
		want, mid := c.Cell.Axes().Context, float64(c.ContextMin+c.ContextMax)/2
		if math.Abs(mid-float64(want)) > 1 || c.ContextMax-c.ContextMin > windowTokens {
			t.Errorf("%s: contexts %d to %d", c.Cell.Name(), c.ContextMin, c.ContextMax)
		}
	}
}

// checkSums asserts that the parts add up to the wall time.
func checkSums(t *testing.T, res *Results) {
	t.Helper()
	for _, c := range res.Cells {
		p := c.Parts
		sum := p.ScheduleNs + p.ExecuteNs + p.SampleNs + p.UpdateNs + p.OutputNs + p.StatsNs + p.CoreNs + p.UnaccountedNs
		if math.Abs(sum-c.Wall.MedianNs) > 1e-6*c.Wall.MedianNs {
			t.Errorf("%s: parts %g, wall %g", c.Cell.Name(), sum, c.Wall.MedianNs)
		}
		if math.Abs(p.UnaccountedNs) > 0.01*c.Wall.MedianNs {
			t.Errorf("%s: %g of %g ns unaccounted", c.Cell.Name(), p.UnaccountedNs, c.Wall.MedianNs)
		}
	}
}

func TestRunStandard(t *testing.T) {
	cost := microtest.DefaultCost()
	cost.Noise = 0.02
	res := mustRun(t, microtest.New(cost, 1), grid, testOptions(StandardRules()))
	for _, c := range res.Cells {
		name := c.Cell.Name()
		if len(c.Rounds) < 6 || c.Wall.CIMethod != IntervalOrder {
			t.Errorf("%s: %d rounds, interval by %q", name, len(c.Rounds), c.Wall.CIMethod)
		}
		var ns float64
		for _, r := range c.Rounds {
			ns = float64(r.Steps) * r.MedianNs
			if r.Steps < 32 || ns < 0.49e9 {
				t.Errorf("%s: round %d has %d steps in %g s", name, r.Index, r.Steps, ns/1e9)
			}
		}
		half := (c.Wall.CI.Hi - c.Wall.CI.Lo) / 2
		if half > 0.005*c.Wall.MedianNs && !slices.Contains(c.Flags, FlagUnstable) {
			t.Errorf("%s: half-width %g of %g, flags %v", name, half, c.Wall.MedianNs, c.Flags)
		}
		if c.Device.Bursts != 3 || c.Device.Dropped != 0 {
			t.Errorf("%s: %d bursts, %d dropped", name, c.Device.Bursts, c.Device.Dropped)
		}
		if c.Wall.P99Ns == nil == (c.Steps >= 368) {
			t.Errorf("%s: p99 %v of %d steps", name, c.Wall.P99Ns, c.Steps)
		}
	}
	checkContexts(t, res)
	checkSums(t, res)
}

func TestDevice(t *testing.T) {
	p := microtest.New(microtest.DefaultCost(), 1) // busy 80 %, 5 % slower when profiled
	res := mustRun(t, p, "4q1s256", testOptions(QuickRules()))
	c := res.Cells[0]
	d := c.Device
	wall := float64(2400e3)
	near := func(name string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-3*math.Abs(want) {
			t.Errorf("%s = %g, want %g", name, got, want)
		}
	}
	near("κ", d.ProfilerRatio, 1.05)
	near("U", d.BusyNs, 0.8*1.05*wall)
	near("S", d.SumNs, 0.9*0.8*1.05*wall)
	near("idle", d.IdleNs, wall-0.8*1.05*wall)
	near("β", d.BubbleFrac, 1-0.84)
	near("gap", d.GapNs, 0.2*1.05*wall)
	near("idle from gaps", d.Idle.FromGapsNs, d.IdleNs)
	near("idle from the wall", d.Idle.FromWallNs, d.IdleNs)
	if d.Bursts != 2 || d.Steps != 8 || d.Unit != "kernel" || len(d.Samples) != 2 {
		t.Errorf("%d bursts with %d steps, unit %q, samples %v", d.Bursts, d.Steps, d.Unit, d.Samples)
	}
	if d.Rows[0].Name != "gemm" || d.Rows[0].Calls != 4 || d.Rows[2].Name != "Memcpy DtoH" || !d.Rows[2].Copy {
		t.Errorf("rows %+v", d.Rows)
	}
	near("row", d.Rows[0].Ns, 0.7*d.BusyNs)
	// GPT-2 small reads all its parameters but the positions, and for each of 4
	// sequences around 256 tokens a key and a value of 768 in 12 layers.
	meanContext := float64(c.ContextMin+c.ContextMax) / 2
	bytes := 2 * (124_439_808 - 1024*768 + 4*meanContext*2*12*768)
	near("bytes", c.Roofline.Bytes, bytes)
	near("bandwidth", c.Roofline.BytesPerS, bytes/d.BusyNs*1e9)
	near("share of the ceiling", *c.Roofline.CopyFrac, bytes/d.BusyNs*1e9/1e12)
	flop := 4 * (2*12*12*768*768 + 2*50257*768 + 4*12*768*meanContext)
	near("FLOP", c.Roofline.FLOP, flop)
	near("share of the ceiling", *c.Roofline.MatmulFrac, flop/d.BusyNs*1e9/1e14)
}

// Every step that ran is in the record with its reason, and the counts follow
// from it.
func TestRecord(t *testing.T) {
	p := microtest.New(microtest.DefaultCost(), 1)
	n := 0
	p.Alter = func(_ engine.Op, s *engine.Step) {
		if n++; n%53 == 0 {
			s.CtxReqs++
		}
	}
	res := mustRun(t, p, grid, testOptions(QuickRules()))
	for _, c := range res.Cells {
		kept, settled, discarded := 0, 0, map[string]int{}
		stages := map[Stage]int{}
		for _, s := range res.Steps {
			if s.Cell != c.Cell.Name() {
				continue
			}
			stages[s.Stage]++
			switch {
			case s.Stage != Timing:
			case s.Role == RoleSettle:
				settled++
			case s.Role == RoleMeasure && s.Discard == "":
				kept++
			case s.Role == RoleMeasure:
				discarded[s.Discard]++
			}
		}
		if kept != c.Steps || settled != c.Settled {
			t.Errorf("%s: %d kept and %d settled in the record, %d and %d in the result", c.Cell.Name(), kept, settled, c.Steps, c.Settled)
		}
		if diff := cmp.Diff(discarded, c.Discarded); diff != "" {
			t.Errorf("%s: discarded (-record +result)\n%s", c.Cell.Name(), diff)
		}
		for _, stage := range []Stage{WarmUp, Timing, Attribution} {
			if stages[stage] == 0 {
				t.Errorf("%s: no step of stage %s", c.Cell.Name(), stage)
			}
		}
	}
	if len(res.Steps) != n {
		t.Errorf("%d steps recorded, %d ran", len(res.Steps), n)
	}
}

// The same seed gives the same run, another one another order.
func TestSeed(t *testing.T) {
	order := func(seed uint64) (cells []string) {
		opt := testOptions(QuickRules())
		opt.Seed = seed
		opt.Progress = func(p Progress) {
			if p.Stage == Timing {
				cells = append(cells, p.Cell)
			}
		}
		mustRun(t, microtest.New(microtest.DefaultCost(), 1), grid, opt)
		return cells
	}
	a := order(1)
	if diff := cmp.Diff(a, order(1)); diff != "" {
		t.Errorf("the same seed, another order:\n%s", diff)
	}
	if slices.Equal(a, order(2)) {
		t.Errorf("another seed, the same order")
	}
	if slices.Equal(a[:6], a[6:12]) {
		t.Errorf("two rounds in the same order %v", a)
	}
}

// A drift that goes on moves all cells alike, since each round visits all: equal
// cells stay equal. Measured one after the other, the last of these would be
// 2 % slower than the first.
func TestDriftIsShared(t *testing.T) {
	cost := microtest.DefaultCost()
	cost.Noise, cost.Drift = 0.01, 0.001
	opt := testOptions(StandardRules())
	opt.Attribution, opt.Rules.MaxRounds = false, 6
	res := mustRun(t, microtest.New(cost, 1), "8q1s100,8q1s200,8q1s300,8q1s400,8q1s500,8q1s600,8q1s700,8q1s800", opt)
	lo, hi := math.Inf(1), 0.0
	for _, c := range res.Cells {
		lo, hi = min(lo, c.Wall.MedianNs), max(hi, c.Wall.MedianNs)
	}
	if hi > 1.01*lo {
		t.Errorf("equal cells differ by %.2f %%: %g to %g ns", 100*(hi/lo-1), lo, hi)
	}
}

// Two runs of a noisy engine agree within their intervals.
func TestRunsAgree(t *testing.T) {
	for _, rules := range []Rules{QuickRules(), StandardRules()} {
		agree, cells := 0, 0
		for seed := range uint64(10) {
			cost := microtest.DefaultCost()
			cost.Noise = 0.05
			opt := testOptions(rules)
			opt.Attribution = false
			a := mustRun(t, microtest.New(cost, 2*seed+1), "q64,q1s64,4q1s256", opt)
			b := mustRun(t, microtest.New(cost, 2*seed+2), "q64,q1s64,4q1s256", opt)
			both := Agree(a, b)
			cells, agree = cells+both.Cells, agree+both.Agree
		}
		if cells != 30 || agree*10 < cells*9 {
			t.Errorf("%s: %d of %d cells agree", rules.Name, agree, cells)
		}
	}
}

func TestRunErrors(t *testing.T) {
	ctx := context.Background()
	tests := []struct {
		name   string
		mutate func(*microtest.Player)
		list   string
		want   string
	}{
		{"asynchronous", func(p *microtest.Player) { p.About.AsyncScheduling = true }, "q8",
			"the engine schedules asynchronously, so that a step returns an earlier batch: open it with async_scheduling=False"},
		{"impossible cell", func(*microtest.Player) {}, "q8,q2k", "shape q2k: beyond the 1024 positions of the model or --max-model-len: at most --context 1023 leaves room for its steps"},
	}
	for _, tt := range tests {
		p := microtest.New(microtest.DefaultCost(), 1)
		tt.mutate(p)
		res, err := Run(ctx, p, testCells(t, tt.list), testOptions(QuickRules()))
		if err == nil || err.Error() != tt.want || res != nil {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
		if p.Scripts != 0 {
			t.Errorf("%s: %d scripts were played", tt.name, p.Scripts)
		}
	}
}

// What was measured before a failure or an interruption stays.
func TestRunKeepsPartialResults(t *testing.T) {
	broken := errors.New("worker died")
	p := microtest.New(microtest.DefaultCost(), 1)
	p.PlayErr = func(script int) error {
		if script == 10+9 { // two of warm-up for each cell but one, then one and a half rounds
			return broken
		}
		return nil
	}
	res, err := Run(context.Background(), p, testCells(t, grid), testOptions(QuickRules()))
	if !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "cell ") {
		t.Fatalf("error %v", err)
	}
	if !res.Interrupted {
		t.Errorf("the results do not say that they are partial")
	}
	rounds := 0
	for _, c := range res.Cells {
		rounds += len(c.Rounds)
		if c.Steps > 0 && c.Wall.MedianNs <= 0 {
			t.Errorf("%s: %d steps, median %g", c.Cell.Name(), c.Steps, c.Wall.MedianNs)
		}
	}
	if rounds != 9 {
		t.Errorf("%d rounds kept, want 9", rounds)
	}

	ctx, cancel := context.WithCancelCause(context.Background())
	stop := errors.New("interrupted")
	opt := testOptions(QuickRules())
	opt.Progress = func(p Progress) {
		if p.Stage == Timing && p.Round == 1 {
			cancel(stop)
		}
	}
	res, err = Run(ctx, microtest.New(microtest.DefaultCost(), 1), testCells(t, grid), opt)
	if !errors.Is(err, stop) || !res.Interrupted {
		t.Errorf("error %v, interrupted %v", err, res.Interrupted)
	}
	for _, c := range res.Cells {
		if len(c.Rounds) != 1 {
			t.Errorf("%s: %d rounds, want the one before the interruption", c.Cell.Name(), len(c.Rounds))
		}
	}
}
