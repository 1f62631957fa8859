package abtest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"stepbench/bench/abtest/estimate"
	"stepbench/engine"
)

// Every launch has the plan's quads, of four bursts each, balanced between the
// arms, in both orientations, and every arm is closed.
func TestCollectDesign(t *testing.T) {
	l := &lab{sides: map[string]behaviour{"stock": quiet(behaviour{}), "v": quiet(behaviour{})}}
	for _, together := range []int{0, 2, 9} {
		j := job(t, l, stock, variantSide("v"), "standard", "8q1s40,q64")
		j.Together = together
		ev := mustCollect(t, j)
		if len(ev.Launches) != 4 {
			t.Fatalf("%d launches", len(ev.Launches))
		}
		orientations, first := map[string]int{}, map[Which]int{}
		for i := range ev.Launches {
			launch := &ev.Launches[i]
			first[launch.First]++
			if launch.Number != i+1 {
				t.Errorf("launch %d has number %d", i+1, launch.Number)
			}
			for _, cell := range ev.Cells {
				for kind, want := range map[Kind]int{Timing: 24, Attribution: 8} {
					quads := launch.quads(cell, kind)
					if len(quads) != want {
						t.Errorf("launch %d, %s: %d %s quads, want %d", i+1, cell, len(quads), kind, want)
					}
					for _, q := range quads {
						var order string
						for _, b := range q.bursts() {
							order += b.Arm.String()
						}
						orientations[order]++
						if q.a[0].Tokens != q.b[0].Tokens || q.a[0].Tokens != q.a[1].Tokens {
							t.Error("the bursts of a quad have different prompts")
						}
					}
				}
			}
		}
		if len(orientations) != 2 || orientations["ABBA"] < 80 || orientations["BAAB"] < 80 {
			t.Errorf("orientations %v", orientations)
		}
	}
	for i, closed := range l.closed {
		if !*closed {
			t.Errorf("arm %d was left open", i)
		}
	}
}

func TestCollectFailures(t *testing.T) {
	tests := []struct {
		name string
		lab  *lab
		a, b Side
		want string // in the reason of INVALID
		kept bool   // bursts before it
	}{
		{"worker dies", &lab{sides: map[string]behaviour{"v": {die: 30}}}, stock, variantSide("v"), "v (B): the worker died: signal: segmentation fault", true},
		{"dies while opening", &lab{fail: map[string]error{"v": &engine.WorkerError{During: "open", What: "died: signal: aborted"}}}, stock, variantSide("v"), "opening: v (B): the worker died", false},
		{"never called", &lab{sides: map[string]behaviour{"v": {never: true}}}, stock, variantSide("v"), "the engine never called _C::rotary_embedding: --custom-ops +rotary_embedding", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ev := mustCollect(t, job(t, tt.lab, tt.a, tt.b, "ci", "8q1s40"))
			if ev.Failure == nil || len(ev.Launches) > 0 != tt.kept {
				t.Fatalf("failure %v, %d launches", ev.Failure, len(ev.Launches))
			}
			r := Judge(ev, Rules{})
			if r.Verdict != estimate.Invalid || !strings.Contains(r.Reason, tt.want) || r.ExitCode != 3 {
				t.Errorf("%s (%d): %s", r.Verdict, r.ExitCode, r.Reason)
			}
			for i, closed := range tt.lab.closed {
				if !*closed {
					t.Errorf("arm %d was left open", i)
				}
			}
		})
	}
}

func TestCollectCannotOpenStock(t *testing.T) {
	l := &lab{fail: map[string]error{"stock": errNoGPU}}
	_, err := Collect(t.Context(), job(t, l, stock, variantSide("v"), "ci", "8q1s40"))
	if !errors.Is(err, errNoGPU) {
		t.Errorf("error %v", err)
	}
}

func TestCollectEnds(t *testing.T) {
	t.Run("deadline", func(t *testing.T) {
		l := &lab{}
		j := job(t, l, stock, variantSide("v"), "standard", "8q1s40")
		j.Deadline = time.Now().Add(-time.Second)
		ev := mustCollect(t, j)
		if !ev.TimeUp || Judge(ev, Rules{}).Verdict == estimate.Same {
			t.Errorf("time up %v", ev.TimeUp)
		}
	})
	t.Run("interrupted", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		j := job(t, &lab{}, stock, variantSide("v"), "standard", "8q1s40")
		n := 0
		j.Record = func(int, Burst) error {
			if n++; n == 50 {
				cancel()
			}
			return nil
		}
		ev, err := Collect(ctx, j)
		if err != nil || !ev.Interrupted || len(ev.Launches) != 1 || len(ev.Launches[0].Bursts) != 50 {
			t.Fatalf("%v, interrupted %v", err, ev.Interrupted)
		}
		if r := Judge(ev, Rules{}); r.Verdict != estimate.Inconclusive {
			t.Errorf("verdict %s", r.Verdict)
		}
	})
}

// A plan with two looks goes on only where the first is INCONCLUSIVE.
func TestCollectLooksTwice(t *testing.T) {
	for verdict, want := range map[estimate.Verdict]int{estimate.Slower: 4, estimate.Inconclusive: 8} {
		j := job(t, &lab{}, stock, variantSide("v"), "sequential", "8q1s40")
		j.Decide = func(*Evidence) estimate.Verdict { return verdict }
		if ev := mustCollect(t, j); len(ev.Launches) != want {
			t.Errorf("%s after 4: %d launches, want %d", verdict, len(ev.Launches), want)
		}
	}
}

// Arms that run apart do not mix their bursts, take turns in who is first, and give
// the same verdict.
func TestApart(t *testing.T) {
	l := &lab{sides: map[string]behaviour{"stock": quiet(behaviour{}), "v": quiet(behaviour{slower: 0.3})}}
	j := job(t, l, stock, variantSide("v"), "standard", "8q1s40,1q1s40")
	j.Apart = true
	ev := mustCollect(t, j)
	for _, launch := range ev.Launches {
		want, changes, last := map[int]string{1: "AABB", 0: "BBAA"}[launch.Number%2], 0, Which(-1)
		for _, cell := range ev.Cells {
			for _, kind := range []Kind{Timing, Attribution} {
				quads := launch.quads(cell, kind)
				if len(quads) == 0 {
					t.Errorf("launch %d: no %s quads of %s", launch.Number, kind, cell)
				}
				for _, q := range quads {
					if q.order() != want {
						t.Errorf("launch %d: a %s quad of %s in the order %s, want %s", launch.Number, kind, cell, q.order(), want)
					}
				}
			}
		}
		for _, b := range launch.Bursts {
			if b.Quad > 0 && b.Arm != last {
				changes, last = changes+1, b.Arm
			}
		}
		if changes != 2 {
			t.Errorf("launch %d: the arms changed %d times", launch.Number, changes)
		}
	}
	r := Judge(ev, Rules{})
	if r.Verdict != estimate.Slower {
		t.Errorf("%s (%s)", r.Verdict, r.Reason)
	}
	for _, g := range r.Gates {
		if g.Name == "carry-over" && g.Status != Pass {
			t.Errorf("carry-over %s: %s", g.Status, g.Detail)
		}
	}
}

// A variant must be loaded in every rank.
func TestVariantMissingInARank(t *testing.T) {
	l := &lab{sides: map[string]behaviour{"v": {bareRank: true}}}
	ev := mustCollect(t, job(t, l, stock, variantSide("v"), "standard", "8q1s40"))
	if f := ev.Failure; f == nil || !strings.Contains(f.Reason, "rank 1 runs stock kernels instead of the variant") {
		t.Errorf("failure %+v", f)
	}
}
