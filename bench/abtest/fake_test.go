package abtest

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"stepbench/bench/abtest/estimate"
	"stepbench/bench/micro"
	"stepbench/bench/micro/microtest"
	"stepbench/engine"
)

// behaviour is how the kernels of a side behave.
type behaviour struct {
	slower   float64 // of the target, 0.1 = 10 %
	burstSD  float64 // noise of a profiled burst, all kernels alike
	launchSD float64 // offset of a process
	renamed  string  // the target's name
	corrupt  bool    // other tokens
	die      int     // the script at which the worker dies, 0 never
	never    bool    // the op is not called
	bareRank bool    // the second of two ranks runs stock
}

// fakeArm is a player with the control methods that a comparison asks.
type fakeArm struct {
	*microtest.Player
	side   Side
	be     behaviour
	closed *bool
}

func (f *fakeArm) PID() int { return 1 }

func (f *fakeArm) Close() error { *f.closed = true; return nil }

func (f *fakeArm) Call(_ context.Context, method string, _, reply any) error {
	switch r := reply.(type) {
	case *map[string]uint64:
		*r = map[string]uint64{}
		if f.side.Variant != nil {
			for _, op := range f.side.Variant.Ops {
				(*r)[op] = 12
				if f.be.never {
					(*r)[op] = 0
				}
			}
		}
	case *float64:
		*r = 1e6
	}
	return nil
}

func (f *fakeArm) Info() engine.Info {
	info := f.Player.Info()
	info.Platform = "cuda"
	if f.side.Variant != nil {
		info.Variant = &engine.LoadedVariant{Name: f.side.Name, Ops: f.side.Variant.Ops}
		for _, path := range files(f.side.Variant) {
			info.Variant.Files = append(info.Variant.Files, engine.Module{Path: path, SHA256: f.side.Variant.SHA256[path]})
		}
	}
	if f.be.bareRank {
		info.Ranks = []engine.Rank{{Rank: 0, Variant: info.Variant}, {Rank: 1}}
	}
	return info
}

const targetKernel = "_C::rotary_embedding"

func variantSide(name string) Side {
	path := "/variants/" + name + "/override.so"
	return Side{Name: name, Variant: &engine.Variant{
		Name: name, Library: path, SHA256: map[string]string{path: name}, Ops: []string{targetKernel},
	}}
}

var stock = Side{Name: engine.Stock}

// lab opens fake arms and remembers them.
type lab struct {
	mu     sync.Mutex
	sides  map[string]behaviour
	closed []*bool
	fail   map[string]error
}

func (l *lab) open(_ context.Context, side Side, launch int) (Arm, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.fail[side.Name]; err != nil {
		return nil, err
	}
	closed := new(bool)
	l.closed = append(l.closed, closed)
	be := l.sides[side.Name]
	noise := rand.New(rand.NewPCG(uint64(launch), uint64(len(side.Name))))
	offset := math.Exp(be.launchSD * noise.NormFloat64())
	p := microtest.New(microtest.DefaultCost(), uint64(launch))
	p.Rows = func(prof engine.Profile) []engine.ProfileRow {
		n := int64(prof.Steps)
		at := offset * math.Exp(be.burstSD*noise.NormFloat64())
		row := func(name string, calls int64, us float64) engine.ProfileRow {
			return engine.ProfileRow{Name: name, Calls: calls * n, SelfNs: int64(us * 1e3 * at * float64(n))}
		}
		name := targetKernel
		if be.renamed != "" {
			name = be.renamed
		}
		rows := []engine.ProfileRow{
			row("gemm", 24, 700), row("attention", 12, 200), row(name, 12, 100*(1+be.slower)),
		}
		return append(rows, engine.ProfileRow{Name: "Memcpy DtoH", Calls: n, SelfNs: 1000 * n, Copy: true})
	}
	if be.corrupt {
		p.Corrupt = func(tokens []int32) { slices.Reverse(tokens) }
	}
	if be.die > 0 {
		p.PlayErr = func(script int) error {
			if script >= be.die {
				return &engine.WorkerError{During: "run", What: "died: signal: segmentation fault", LogTail: []string{"Fatal Python error: Segmentation fault"}}
			}
			return nil
		}
	}
	return &fakeArm{Player: p, side: side, be: be, closed: closed}, nil
}

func testCells(t testing.TB, text string) []micro.Cell {
	t.Helper()
	batches, err := micro.ParseBatches("--shapes", text)
	if err != nil {
		t.Fatal(err)
	}
	cells, err := micro.Grid{Singles: batches}.Cells()
	if err != nil {
		t.Fatal(err)
	}
	return cells
}

func plan(t testing.TB, name string) estimate.Plan {
	t.Helper()
	p, err := estimate.PlanNamed(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// quiet is the noise that GPUs were measured with: 0.1 % within, 0.1 % between
// processes.
func quiet(be behaviour) behaviour {
	be.burstSD, be.launchSD = 0.001, 0.001
	return be
}

func job(t testing.TB, l *lab, a, b Side, planName, cells string) Job {
	t.Helper()
	return Job{A: a, B: b, Plan: plan(t, planName), Cells: testCells(t, cells), Seed: 1, Open: l.open}
}

func mustCollect(t testing.TB, j Job) *Evidence {
	t.Helper()
	ev, err := Collect(t.Context(), j)
	if err != nil {
		t.Fatal(err)
	}
	return ev
}

var errNoGPU = errors.New("no GPU")
