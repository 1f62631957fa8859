package micro

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stepbench/bench/micro/microtest"
	"stepbench/engine"
)

func mustBatch(t testing.TB, text string) Batch {
	t.Helper()
	b, err := ParseBatch(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// testRunner is a runner on a fake engine whose steps are not noisy.
func testRunner(t testing.TB, p *microtest.Player) *runner {
	t.Helper()
	return &runner{
		player: p, opt: Options{Rules: QuickRules()}, steady: true,
		writer: writer{limits: InfoLimits(p.Info()), prompts: &prompts{vocab: p.Info().VocabSize}},
	}
}

// outline is a program as text, an Op each.
type outline struct {
	Submit []int // prompt lengths
	Steps  int
	Tokens int // limit
	Role   Role
	Burst  int
	Abort  bool
}

func outlineOf(p program) []outline {
	var out []outline
	for i, op := range p.script.Ops {
		o := outline{Steps: op.Steps, Tokens: op.Limits.Tokens, Role: p.plan[i].steps[0].role, Burst: p.plan[i].burst, Abort: op.Abort}
		for _, r := range op.Submit {
			o.Submit = append(o.Submit, len(r.Prompt))
		}
		out = append(out, o)
	}
	return out
}

func TestPrograms(t *testing.T) {
	w := &writer{limits: Limits{Positions: 1024, Tokens: 2048, Seqs: 64}, prompts: &prompts{vocab: 100}}
	tests := []struct {
		name string
		got  program
		want []outline
	}{
		{"prefill: two steps", w.timing(Cell{Batch: mustBatch(t, "2q100")}, 2), []outline{
			{Submit: []int{100, 100}, Steps: 1, Role: RoleMeasure, Abort: true}, {Steps: 1, Role: RoleCleanup},
			{Submit: []int{100, 100}, Steps: 1, Role: RoleMeasure, Abort: true}, {Steps: 1, Role: RoleCleanup},
		}},
		{"chunks: the rest is not measured", w.timing(Cell{Batch: mustBatch(t, "2q150"), Chunk: 100}, 3), []outline{
			{Submit: []int{150, 150}, Steps: 3, Tokens: 100, Role: RoleMeasure}, {Steps: 1, Role: RoleCleanup},
		}},
		{"chunks with a rest", w.timing(Cell{Batch: mustBatch(t, "q250"), Chunk: 100}, 1), []outline{
			{Submit: []int{250}, Steps: 2, Tokens: 100, Role: RoleMeasure}, {Steps: 1, Tokens: 100, Role: RoleSetup}, {Steps: 1, Role: RoleCleanup},
		}},
		// 8 steps around 500: the first is at 497, after a prompt of 494, its
		// first output and two steps of settling.
		{"decode", w.timing(Cell{Batch: mustBatch(t, "3q1s500")}, 8), []outline{
			{Submit: []int{494, 494, 494}, Steps: 1, Role: RoleSetup}, {Steps: 2, Role: RoleSettle},
			{Steps: 8, Role: RoleMeasure, Abort: true}, {Steps: 1, Role: RoleCleanup},
		}},
		// The second prompt takes two steps, the first decodes meanwhile.
		{"decode: prompts in two steps", w.timing(Cell{Batch: mustBatch(t, "3q1s900")}, 8), []outline{
			{Submit: []int{893, 893, 894}, Steps: 2, Role: RoleSetup}, {Steps: 2, Role: RoleSettle},
			{Steps: 8, Role: RoleMeasure, Abort: true}, {Steps: 1, Role: RoleCleanup},
		}},
		{"decode: two episodes", w.timing(Cell{Batch: mustBatch(t, "q1s500")}, 40), []outline{
			{Submit: []int{482}, Steps: 1, Role: RoleSetup}, {Steps: 2, Role: RoleSettle},
			{Steps: 32, Role: RoleMeasure, Abort: true}, {Steps: 1, Role: RoleCleanup},
			{Submit: []int{494}, Steps: 1, Role: RoleSetup}, {Steps: 2, Role: RoleSettle},
			{Steps: 8, Role: RoleMeasure, Abort: true}, {Steps: 1, Role: RoleCleanup},
		}},
		{"decode: bursts share a window", w.attribution(Cell{Batch: mustBatch(t, "q1s500")}, true, 2, 8), []outline{
			{Submit: []int{486}, Steps: 1, Role: RoleSetup}, {Steps: 2, Role: RoleSettle},
			{Steps: 8, Role: RoleMeasure, Burst: 1}, {Steps: 8, Role: RoleMeasure, Burst: 2},
			{Steps: 8, Role: RoleMeasure, Burst: 3, Abort: true}, {Steps: 1, Role: RoleCleanup},
		}},
		{"prefill: bursts of two ops", w.attribution(Cell{Batch: mustBatch(t, "q9")}, true, 1, 2), []outline{
			{Submit: []int{9}, Steps: 1, Role: RoleMeasure, Burst: 1, Abort: true}, {Steps: 1, Role: RoleCleanup},
			{Submit: []int{9}, Steps: 1, Role: RoleMeasure, Burst: 1, Abort: true}, {Steps: 1, Role: RoleCleanup},
			{Submit: []int{9}, Steps: 1, Role: RoleMeasure, Burst: 2, Abort: true}, {Steps: 1, Role: RoleCleanup},
			{Submit: []int{9}, Steps: 1, Role: RoleMeasure, Burst: 2, Abort: true}, {Steps: 1, Role: RoleCleanup},
		}},
		{"decode: no burst to discard", w.attribution(Cell{Batch: mustBatch(t, "q1s500")}, false, 1, 8), []outline{
			{Submit: []int{494}, Steps: 1, Role: RoleSetup}, {Steps: 2, Role: RoleSettle},
			{Steps: 8, Role: RoleMeasure, Burst: 2, Abort: true}, {Steps: 1, Role: RoleCleanup},
		}},
		{"warm-up of two shapes", w.warmUp(Cell{Batch: mustBatch(t, "3q1s500")}, 2), []outline{
			{Submit: []int{500, 500, 500}, Steps: 1, Role: RoleSetup}, {Steps: 2, Role: RoleMeasure, Abort: true}, {Steps: 1, Role: RoleCleanup},
		}},
		// Steps at 497, 500 and 503.
		{"mixed", w.timing(Cell{Batch: mustBatch(t, "q64_2q1s500")}, 3), []outline{
			{Submit: []int{494, 494}, Steps: 1, Role: RoleSetup}, {Steps: 2, Role: RoleSettle},
			{Submit: []int{64}, Steps: 1, Role: RoleMeasure}, {Steps: 2, Role: RoleSettle},
			{Submit: []int{64}, Steps: 1, Role: RoleMeasure}, {Steps: 2, Role: RoleSettle},
			{Submit: []int{64}, Steps: 1, Role: RoleMeasure}, {Steps: 2, Role: RoleSettle, Abort: true},
			{Steps: 1, Role: RoleCleanup},
		}},
		{"extend beside decodes", w.timing(Cell{Batch: mustBatch(t, "q4s100_2q1s500")}, 1), []outline{
			{Submit: []int{496, 496}, Steps: 1, Role: RoleSetup}, {Steps: 2, Role: RoleSettle},
			{Submit: []int{100}, Steps: 1, Tokens: 98, Role: RoleSetup},
			{Steps: 1, Role: RoleMeasure}, {Steps: 2, Role: RoleSettle, Abort: true},
			{Steps: 1, Role: RoleCleanup},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, outlineOf(tt.got)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// Every step of every program, set-up included, has the planned composition on
// an engine that schedules by itself, and the measured decodes lie around their
// contexts.
func TestProgramsPlayAsPlanned(t *testing.T) {
	cells := []string{
		"q1", "q64", "8q64", "2q1000", "q1023", "q4s100", "q1000s1001", "q1s7", "q1s8", "8q1s100", "64q1s200", "q1s1018",
		"3q1s700_2q1s100", "16q1s1000", "q64_8q1s500", "2q500_16q1s300", "q4s100_8q1s300", "q16s900_2q30_8q1s300", "q1_q1s7",
	}
	for _, tokens := range []int{2048, 96} {
		p := microtest.New(microtest.DefaultCost(), 1)
		p.MaxTokens = tokens
		r := testRunner(t, p)
		for _, text := range cells {
			c := Cell{Batch: mustBatch(t, text)}
			if tokens == 96 && text == "64q1s200" {
				continue // 64 decodes leave the last prompts so little that no lengths fit
			}
			if _, refused := Check([]Cell{c}, r.writer.limits); len(refused) > 0 {
				continue
			}
			for name, prog := range map[string]program{"timing": r.writer.timing(c, 20), "attribution": r.writer.attribution(c, true, 2, 8)} {
				checkPlay(t, r, p, c, name, prog)
			}
		}
		for _, chunk := range []int{1, 50, 96} {
			c := Cell{Batch: mustBatch(t, "3q333"), Chunk: chunk}
			checkPlay(t, r, p, c, "chunks", r.writer.timing(c, 20))
		}
	}
}

func checkPlay(t *testing.T, r *runner, p *microtest.Player, c Cell, name string, prog program) {
	t.Helper()
	out, err := r.play(context.Background(), c, Timing, 0, prog)
	if err != nil {
		t.Errorf("%s of %s: %v", name, c.Name(), err)
		return
	}
	var mid []float64
	for i, s := range out.steps {
		if got := compositionOf(&s.Step); got != s.Planned {
			t.Errorf("%s of %s: step %d is %+v, planned %+v", name, c.Name(), i, got, s.Planned)
			return
		}
		if s.Role != RoleMeasure {
			continue
		}
		if contexts := p.Contexts[i]; len(contexts) > 0 {
			if got := (span{slices.Min(contexts), slices.Max(contexts)}); got != s.context {
				t.Errorf("%s of %s: contexts of step %d are %v, planned %v", name, c.Name(), i, got, s.context)
				return
			}
			mid = append(mid, float64(slices.Max(contexts)))
		}
	}
	if n := len(out.kept()); name == "timing" && n < 20 {
		t.Errorf("%s of %s: %d steps count, want 20", name, c.Name(), n)
	}
	if len(mid) == 0 {
		return
	}
	slices.Sort(mid)
	want, width := float64(c.Axes().Context), mid[len(mid)-1]-mid[0]
	middle := (mid[0] + mid[len(mid)-1]) / 2
	if room := max(windowTokens, windowShare*want); middle < want-1 || middle > want+1 || width > room {
		t.Errorf("%s of %s: contexts from %g to %g, want within %g around %g", name, c.Name(), mid[0], mid[len(mid)-1], room, want)
	}
}

// All decodes of a batch reach their contexts in the same step, whatever the
// budget cuts their prompts into. Where the repetition finds no such lengths,
// contexts are a token apart; two under budgets that decodes nearly fill.
func TestAlign(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 6))
	const draws = 300
	exact := 0
	for range draws {
		w := &writer{limits: Limits{Positions: 1 << 20, Tokens: 64 + rng.IntN(4000), Seqs: 256}, prompts: &prompts{vocab: 100}}
		n, start := 1+rng.IntN(60), 600+rng.IntN(3000)
		apart := 1
		if w.limits.Tokens < 4*n {
			apart = 2
		}
		lengths, steps := w.align(repeat(start, n))
		s := w.scheduler()
		for _, l := range lengths {
			s.waiting = append(s.waiting, &sequence{prompt: l, maxOutputs: 1 << 20})
		}
		for i := range steps + settleSteps {
			s.step(0, i+1)
		}
		p := s.step(0, 0)
		if p.context.min == p.context.max {
			exact++
		}
		if p.Composition != (Composition{GenReqs: int32(n)}) || p.context.min < start-apart || p.context.max > start+apart {
			t.Fatalf("%d decodes at %d under %d tokens a step: %+v at %v", n, start, w.limits.Tokens, p.Composition, p.context)
		}
	}
	if exact < draws*9/10 {
		t.Errorf("only %d of %d batches have one context", exact, draws)
	}
}

func TestPromptsAreFresh(t *testing.T) {
	p := &prompts{seed: 7, vocab: 1000}
	a, b := p.request(50, 2), p.request(50, 2)
	if a.ID == b.ID || slices.Equal(a.Prompt, b.Prompt) {
		t.Errorf("two requests share an id or a prompt")
	}
	again := (&prompts{seed: 7, vocab: 1000}).request(50, 2)
	if diff := cmp.Diff(a, again); diff != "" {
		t.Errorf("the same seed gives another first request:\n%s", diff)
	}
	other := (&prompts{seed: 8, vocab: 1000}).request(50, 2)
	if slices.Equal(a.Prompt, other.Prompt) {
		t.Errorf("another seed gives the same prompt")
	}
	for _, token := range append(a.Prompt, b.Prompt...) {
		if token < 0 || token >= 1000 {
			t.Fatalf("token %d is outside the vocabulary", token)
		}
	}
	if want := (engine.Sampling{MaxTokens: 2, IgnoreEOS: true}); !cmp.Equal(a.Sampling, want) {
		t.Errorf("sampling %+v, want %+v", a.Sampling, want)
	}
}
