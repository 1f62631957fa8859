package micro

import (
	"slices"
	"strings"
	"testing"

	"stepbench/bench/micro/microtest"
	"stepbench/engine"
)

func mustDriver(t *testing.T, p Player, seed uint64) *Driver {
	t.Helper()
	d, err := NewDriver(p, seed, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func mustPlay(t *testing.T, d *Driver, spec BurstSpec) *Burst {
	t.Helper()
	b, err := d.Play(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Engines with different pasts get the same prompts for a key, and so give the
// same tokens; another key or seed gives others.
func TestDriversAgreeOnPrompts(t *testing.T) {
	for _, shape := range []string{"4q1s64", "2q64", "q32_4q1s64"} {
		t.Run(shape, func(t *testing.T) {
			cell := testCells(t, shape)[0]
			spec := BurstSpec{Cell: cell, Steps: 8, Key: "launch 1 quad 3"}
			a, b := mustDriver(t, microtest.New(microtest.DefaultCost(), 1), 7), mustDriver(t, microtest.New(microtest.DefaultCost(), 2), 7)
			other := mustDriver(t, microtest.New(microtest.DefaultCost(), 1), 8)
			mustPlay(t, b, BurstSpec{Cell: testCells(t, "2q100")[0], Steps: 3, Key: "before"})
			x, y := mustPlay(t, a, spec), mustPlay(t, b, spec)
			if x.Tokens != y.Tokens || x.Shapes != y.Shapes {
				t.Errorf("tokens %x and %x, shapes %x and %x for one key", x.Tokens, y.Tokens, x.Shapes, y.Shapes)
			}
			if again := mustPlay(t, a, spec); again.Tokens != x.Tokens {
				t.Error("the same key again gave other tokens")
			}
			if z := mustPlay(t, other, spec); z.Tokens == x.Tokens {
				t.Error("another seed gave the same tokens")
			}
			spec.Key = "launch 1 quad 4"
			if z := mustPlay(t, a, spec); z.Tokens == x.Tokens {
				t.Error("another key gave the same tokens")
			}
		})
	}
}

func TestDriverBurst(t *testing.T) {
	d := mustDriver(t, microtest.New(microtest.DefaultCost(), 1), 1)
	cell := testCells(t, "4q1s256")[0]
	b := mustPlay(t, d, BurstSpec{Cell: cell, Steps: 8, Key: "k", Profile: true})
	if b.Planned != 8 || b.Steps != 8 || b.Drop != "" || len(b.WallsNs) != 8 {
		t.Errorf("planned %d, kept %d, drop %q, %d walls", b.Planned, b.Steps, b.Drop, len(b.WallsNs))
	}
	const wall, busy = 2_400_000 * 1.05, 0.8 // microtest.DefaultCost and its slowdown
	if b.WallNs != wall || b.Profile == nil || b.Profile.BusyNs != wall*busy {
		t.Fatalf("wall %g, profile %+v", b.WallNs, b.Profile)
	}
	if r := b.Profile.Rows[0]; r.Name != "gemm" || r.Calls != 4 || r.MedianNs != r.Ns/4 {
		t.Errorf("first row %+v", r)
	}
	if b.ContextMin > 256 || b.ContextMax < 256 || b.EndNs <= b.StartNs {
		t.Errorf("contexts %d to %d, from %d to %d", b.ContextMin, b.ContextMax, b.StartNs, b.EndNs)
	}
}

func TestDriverDropsBursts(t *testing.T) {
	tests := []struct {
		name  string
		alter func(*microtest.Player)
		want  string
	}{
		{"mismatch", func(p *microtest.Player) {
			p.Alter = func(_ engine.Op, s *engine.Step) { s.GenReqs++ }
		}, Mismatch},
		{"preemption", func(p *microtest.Player) {
			p.Alter = func(_ engine.Op, s *engine.Step) { s.Preempted++ }
		}, Preemption},
		{"leak", func(p *microtest.Player) { p.Leak = 0.01 }, "kernels outside the steps"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := microtest.New(microtest.DefaultCost(), 1)
			tt.alter(p)
			b := mustPlay(t, mustDriver(t, p, 1), BurstSpec{Cell: testCells(t, "4q1s256")[0], Steps: 4, Key: "k", Profile: true})
			if b.Drop != tt.want {
				t.Errorf("drop %q, want %q", b.Drop, tt.want)
			}
		})
	}
}

func TestDriverRefusesLongBursts(t *testing.T) {
	d := mustDriver(t, microtest.New(microtest.DefaultCost(), 1), 1)
	cell := testCells(t, "4q1s256")[0]
	for _, steps := range []int{0, d.Room(cell) + 1} {
		if _, err := d.Play(t.Context(), BurstSpec{Cell: cell, Steps: steps, Key: "k"}); err == nil || !strings.Contains(err.Error(), "4q1s256") {
			t.Errorf("%d steps: %v", steps, err)
		}
	}
}

func TestDriverTokensChange(t *testing.T) {
	spec := BurstSpec{Cell: testCells(t, "4q1s256")[0], Steps: 8, Key: "k"}
	p := microtest.New(microtest.DefaultCost(), 1)
	p.Corrupt = func(tokens []int32) { slices.Reverse(tokens) }
	a, b := mustPlay(t, mustDriver(t, microtest.New(microtest.DefaultCost(), 1), 1), spec), mustPlay(t, mustDriver(t, p, 1), spec)
	if a.Tokens == b.Tokens {
		t.Error("other tokens have the same hash")
	}
}
