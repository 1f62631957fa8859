package abtest

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stepbench/bench/abtest/estimate"
	"stepbench/bench/abtest/numerics"
	"stepbench/bench/telemetry"
	"stepbench/engine"
)

func TestJudge(t *testing.T) {
	identical := numerics.Report{Status: numerics.Identical}
	tests := []struct {
		name    string
		a, b    behaviour
		same    bool // B is A compiled again
		outputs numerics.Report
		verdict estimate.Verdict
		exit    int
		percent float64 // effect, within 0.3 points
	}{
		{"unchanged", behaviour{}, behaviour{}, true, identical, estimate.Same, 0, 0},
		{"slower", behaviour{}, behaviour{slower: 0.3}, false, identical, estimate.Slower, 1, 3},
		{"faster", behaviour{slower: 0.3}, behaviour{}, false, identical, estimate.Faster, 0, -2.9},
		{"differs", behaviour{}, behaviour{slower: 0.3}, false, numerics.Report{Status: numerics.Differs}, estimate.Slower, 4, 3},
		{"renamed", behaviour{}, behaviour{slower: 0.3, renamed: "void vllm::rotary_embedding_v2<float>(float*)"}, false, identical, estimate.Slower, 1, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, b := variantSide("a"), variantSide("b")
			a.Unchanged, b.Unchanged = tt.same, tt.same
			l := &lab{sides: map[string]behaviour{"a": quiet(tt.a), "b": quiet(tt.b)}}
			ev := mustCollect(t, job(t, l, a, b, "standard", "8q1s40"))
			ev.Outputs = tt.outputs
			r := Judge(ev, Rules{})
			if r.Verdict != tt.verdict || r.ExitCode != tt.exit {
				t.Fatalf("%s, exit %d, %s; want %s, %d", r.Verdict, r.ExitCode, r.Reason, tt.verdict, tt.exit)
			}
			if got := estimate.Percent(r.Kernel.Primary.EffectLog); math.Abs(got-tt.percent) > 0.3 {
				t.Errorf("effect %+.2f %%, want about %+.2f", got, tt.percent)
			}
			if (r.Identical != "") != tt.same {
				t.Errorf("A/A label %q", r.Identical)
			}
			c := r.Cells[0]
			var us [2]float64
			var contributions, shares float64
			for _, k := range c.Kernels {
				us[0], us[1] = us[0]+k.Us[0], us[1]+k.Us[1]
				contributions += k.ContributionPct
				shares += k.ShareFrac
			}
			for w := range us {
				if math.Abs(us[w]-c.KernelUs[w]) > 1e-6*us[w] {
					t.Errorf("rows of arm %d add up to %g µs, the step is %g", w, us[w], c.KernelUs[w])
				}
			}
			if want := 100 * (us[1]/us[0] - 1); math.Abs(contributions-want) > 1e-6 || tt.percent != 0 && math.Abs(shares-1) > 1e-6 {
				t.Errorf("contributions %g, want %g; shares %g", contributions, want, shares)
			}
			if tt.percent != 0 {
				if k := c.Kernels[0]; !k.Target || k.Calls != [2]float64{12, 12} || math.Abs(math.Abs(k.DeltaUs)-30) > 1 || k.Interval == nil {
					t.Errorf("first row %+v", k)
				}
			}
			// The verdict can be computed again from the records.
			text, err := json.Marshal(ev)
			if err != nil {
				t.Fatal(err)
			}
			var again Evidence
			if err := json.Unmarshal(text, &again); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(r, Judge(&again, Rules{})); diff != "" {
				t.Errorf("from records (-first +again):\n%s", diff)
			}
		})
	}
}

// Whatever the numbers say, a gate that fails makes the verdict INVALID.
func TestGates(t *testing.T) {
	tests := []struct {
		name  string
		alter func(*Evidence)
		code  map[string]Code
		gate  string
		want  telemetry.Status
	}{
		{"control moved", func(ev *Evidence) {
			eachBurst(ev, func(b *Burst) {
				if b.Arm == ArmB && b.Burst.Profile != nil {
					b.Burst.Profile.Rows[0].Ns *= 1.03
				}
			})
		}, codes, "control", Fail},
		{"control steady", func(*Evidence) {}, codes, "control", Pass},
		{"autotune", func(ev *Evidence) {
			eachBurst(ev, func(b *Burst) {
				if b.Arm == ArmB && b.Burst.Profile != nil {
					b.Burst.Profile.Rows[0].Calls *= 2
				}
			})
		}, codes, "selection", Fail},
		{"captured, not replayed", func(ev *Evidence) {
			ev.Target = []string{"_C::op"}
			ev.Launches[len(ev.Launches)-1].Calls[ArmB] = map[string]uint64{"_C::op": 32}
		}, map[string]Code{"void elsewhere()": CodeChanged}, "executed", Fail},
		{"preempted", func(ev *Evidence) {
			eachBurst(ev, func(b *Burst) {
				if b.Quad%2 == 1 {
					b.Burst.Drop = "preemption"
				}
			})
		}, nil, "steps", Fail},
		{"one quad dropped", func(ev *Evidence) {
			eachBurst(ev, func(b *Burst) {
				if b.Quad == 1 && b.Kind == Timing {
					b.Burst.Drop = "gc"
				}
			})
		}, nil, "steps", Pass},
		{"shapes differ", func(ev *Evidence) {
			eachBurst(ev, func(b *Burst) {
				if b.Arm == ArmB {
					b.Burst.Shapes++
				}
			})
		}, nil, "steps", Fail},
		{"compiled", func(ev *Evidence) {
			eachBurst(ev, func(b *Burst) {
				if b.Quad == 3 && b.Kind == Timing && b.Position == 2 {
					b.Burst.Drop = "jit"
				}
			})
		}, nil, "jit", Fail},
		{"machine", func(ev *Evidence) {
			ev.Launches[2].Gates = []Gate{{Name: "clocks", Status: Fail, Detail: "1980 and 1700 MHz"}}
			ev.Launches[3].Gates = []Gate{{Name: "clocks", Status: Unknown}}
		}, nil, "clocks", Fail},
		{"stolen from a GPU's host", func(ev *Evidence) {
			ev.Launches[2].Gates = []Gate{{Name: "steal", Status: Fail, Detail: "11 % of 37 s"}}
		}, nil, "steal", Flag},
		{"stolen from a CPU's ops", func(ev *Evidence) {
			for i := range ev.Launches {
				ev.Launches[i].Info[ArmA].Platform, ev.Launches[i].Info[ArmB].Platform = "cpu", "cpu"
			}
			ev.Launches[2].Gates = []Gate{{Name: "steal", Status: Fail, Detail: "11 % of 37 s"}}
		}, nil, "steal", Fail},
		{"tokens", func(ev *Evidence) {
			eachBurst(ev, func(b *Burst) {
				if b.Arm == ArmB {
					b.Burst.Tokens++
				}
			})
		}, nil, "tokens", Flag},
		{"carry-over", func(ev *Evidence) {
			eachBurst(ev, func(b *Burst) {
				if b.Position == 2 && b.Burst.Profile != nil {
					b.Burst.Profile.SumNs *= 1.01
				}
			})
		}, nil, "carry-over", Flag},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := &lab{sides: map[string]behaviour{"stock": quiet(behaviour{}), "v": quiet(behaviour{slower: 0.3})}}
			ev := mustCollect(t, job(t, l, stock, variantSide("v"), "standard", "8q1s40"))
			tt.alter(ev)
			ev.Code, ev.Outputs = tt.code, numerics.Report{Status: numerics.Identical}
			r := Judge(ev, Rules{})
			for _, g := range r.Gates {
				if g.Name == tt.gate {
					if g.Status != tt.want {
						t.Errorf("gate %s is %s: %s", g.Name, g.Status, g.Detail)
					}
					if (g.Status == Fail) != (r.Verdict == estimate.Invalid) {
						t.Errorf("verdict %s (%s) with the gate at %s", r.Verdict, r.Reason, g.Status)
					}
					return
				}
			}
			t.Errorf("no gate %s in %+v", tt.gate, r.Gates)
		})
	}
}

func eachBurst(ev *Evidence, edit func(*Burst)) {
	for i := range ev.Launches {
		for k := range ev.Launches[i].Bursts {
			edit(&ev.Launches[i].Bursts[k])
		}
	}
}

// codes are the kernels that the variant brings.
var codes = map[string]Code{targetKernel: CodeChanged}

// Without a word on outputs, other tokens are differing outputs.
func TestTokensDecideUncheckedOutputs(t *testing.T) {
	l := &lab{sides: map[string]behaviour{"v": {corrupt: true}}}
	for synthetic, want := range map[bool]int{false: 4, true: 0} {
		j := job(t, l, stock, variantSide("v"), "standard", "8q1s40")
		j.Model = engine.Model{Synthetic: synthetic}
		r := Judge(mustCollect(t, j), Rules{})
		if r.ExitCode != want {
			t.Errorf("synthetic %v: exit %d, want %d (%s)", synthetic, r.ExitCode, want, r.Verdict)
		}
	}
}

// The wall time counts only if no CPU time was stolen and the arms' interpreters
// ran alike.
func TestWallVoid(t *testing.T) {
	l := &lab{sides: map[string]behaviour{"stock": quiet(behaviour{}), "v": quiet(behaviour{})}}
	ev := mustCollect(t, job(t, l, stock, variantSide("v"), "standard", "8q1s40"))
	eachBurst(ev, func(b *Burst) {
		if b.Arm == ArmB {
			b.Burst.WallNs *= 1.2
		}
	})
	if r := Judge(ev, Rules{}); r.Verdict != estimate.Slower || r.Reason != "wall" {
		t.Errorf("%s %q, want SLOWER by wall", r.Verdict, r.Reason)
	}
	for name, disturb := range map[string]func(){
		"stolen":       func() { ev.Launches[0].Gates = []Gate{{Name: "steal", Status: Fail, Detail: "11 %"}} },
		"interpreters": func() { ev.Launches[0].Gates, ev.Launches[0].HostLoopNs[1] = nil, ev.Launches[0].HostLoopNs[1]*1.2 },
	} {
		disturb()
		r := Judge(ev, Rules{})
		if r.Verdict != estimate.Same || !strings.Contains(strings.Join(r.Flags, ";"), "wall void") {
			t.Errorf("%s: %s, flags %v", name, r.Verdict, r.Flags)
		}
	}
}
