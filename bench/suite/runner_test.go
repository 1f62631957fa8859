package suite

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stepbench/bench/bottleneck"
	"stepbench/bench/record"
	"stepbench/bench/workload"
	"stepbench/engine"
)

// pointsOfSmall are those of the suite small, in its own order.
var pointsOfSmall = []string{"base", "dataset-random-medium", "rate-20", "model-gpt2-2"}

func allComplete() map[string]record.State {
	want := map[string]record.State{}
	for _, p := range pointsOfSmall {
		want[PointsDir+"/"+p+"/1"], want[PointsDir+"/"+p+"/2"] = record.Complete, record.Complete
	}
	return want
}

func TestRun(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "suite")
	m := layOut(t, small, Machine{})
	progress := &silent{}
	d, opened := deps(progress, always)
	if err := Run(t.Context(), dir, m, d); err != nil {
		t.Fatal(err)
	}
	if *opened != 2 {
		t.Errorf("%d engines were opened, want one for each of two configurations", *opened)
	}
	if diff := cmp.Diff(allComplete(), readStates(t, dir)); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
	back, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if back.State != record.Complete || back.EndUTC.IsZero() || back.Engines[0].Info == nil {
		t.Errorf("manifest %+v", back)
	}
	// The same request arrives at the same time with the same prompt in every
	// point of a repeat, whatever ran before.
	for _, number := range []string{"1", "2"} {
		base := openRecord(t, dir, "base", number)
		other := openRecord(t, dir, "model-gpt2-2", number)
		if base.Manifest.Workload.ArrivalKey != other.Manifest.Workload.ArrivalKey || base.Manifest.Workload.PromptKey != other.Manifest.Workload.PromptKey {
			t.Errorf("repeat %s: keys differ between engines", number)
		}
		if n := len(base.Requests); n != 5 {
			t.Errorf("%d requests, want 5", n)
		}
	}
	if a, b := openRecord(t, dir, "base", "1"), openRecord(t, dir, "base", "2"); a.Manifest.Workload.ArrivalKey == b.Manifest.Workload.ArrivalKey {
		t.Error("both repeats have the same key")
	}
}

// TestTail: profile standard has arrivals behind the window, which are recorded
// and not measured; profile quick and closed loops have none.
func TestTail(t *testing.T) {
	for _, profile := range []string{ProfileQuick, ProfileStandard} {
		dir := filepath.Join(t.TempDir(), "suite")
		m := layOut(t, "name = \"tail\"\nprofile = \""+profile+"\"\nsample_hz = 0.0\nmodels = [\"gpt2\"]\nrates = [20.0]\nwarmup_s = 1.0\nwindow_s = 4.0\nconcurrency = [4]\n", Machine{})
		d, _ := deps(&silent{}, always)
		d.NoAttribution = true
		if err := Run(t.Context(), dir, m, d); err != nil {
			t.Fatal(err)
		}
		for _, point := range []string{"base", "concurrency-4"} {
			sum := openRecord(t, dir, point, "1").Summary()
			want := profile == ProfileStandard && point == "base"
			if c := sum.Counts; (c.Tail > 0) != want || (sum.Spec.TailRequests > 0) != want || (sum.WarmUp != nil) != want ||
				c.Completed != c.Planned || c.Censored != 0 || c.WarmUp+c.Measured != c.Planned {
				t.Errorf("%s, %s: counts %+v, tail of %d, warm-up %+v", profile, point, c, sum.Spec.TailRequests, sum.WarmUp)
			}
		}
	}
}

func openRecord(t *testing.T, dir, point, number string) *record.Record {
	t.Helper()
	r, err := record.Open(filepath.Join(dir, PointsDir, point, number))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAttribution(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "suite")
	m := layOut(t, small, Machine{})
	d, _ := deps(&silent{}, always)
	if err := Run(t.Context(), dir, m, d); err != nil {
		t.Fatal(err)
	}
	if m.Engines[0].Attribution != "engines/gpt2/attribution.json" {
		t.Fatalf("engine %+v", m.Engines[0])
	}
	data, err := os.ReadFile(filepath.Join(dir, m.Engines[0].Attribution))
	if err != nil {
		t.Fatal(err)
	}
	var a bottleneck.Attribution
	if err := json.Unmarshal(data, &a); err != nil {
		t.Fatal(err)
	}
	if a.Unit != "kernel" || a.CopyBytesPerS != 2e10 || a.Problem != "" {
		t.Errorf("attribution %+v", a)
	}
	phases := map[string]int{}
	for _, b := range a.Buckets {
		switch {
		case b.CtxTokens == 0:
			phases["decode"]++
		case b.GenReqs == 0:
			phases["prefill"]++
		default:
			phases["mixed"]++
		}
		// The player's kernels fill 0.8 of a step that is 1.05 times longer under
		// the profiler; copies are a tenth of them and not in the sum.
		if share := b.BusyNs / b.WallNs; share < 0.83 || share > 0.85 || b.SumNs >= b.BusyNs || b.Steps == 0 {
			t.Errorf("bucket %+v", b)
		}
		if b.ReadBytes < 2*100e6 {
			t.Errorf("a step of gpt2 reads %g bytes", b.ReadBytes)
		}
	}
	if phases["decode"] == 0 || phases["prefill"] == 0 {
		t.Errorf("buckets by phase %v", phases)
	}
}

func TestResume(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "suite")
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stopped by hand")
	d, _ := deps(&silent{}, func(int, engine.Config) (Worker, error) {
		w := newWorker()
		w.onRun = func(plan int) error {
			if plan == 3 {
				cancel(stop)
			}
			return nil
		}
		return w, nil
	})
	err := Run(ctx, dir, layOut(t, small, Machine{}), d)
	if !errors.Is(err, stop) {
		t.Fatalf("error %v, want the interruption", err)
	}
	m, err := Open(dir)
	if err != nil || m.State != record.Interrupted {
		t.Fatalf("state %v, %v", m, err)
	}
	before, kept := readStates(t, dir), stamps(t, dir)
	complete := 0
	for _, state := range before {
		if state == record.Complete {
			complete++
		}
	}
	if complete != 2 {
		t.Fatalf("%d repeats complete after two whole plans: %v", complete, before)
	}

	again, opened := deps(&silent{}, always)
	if err := Run(t.Context(), dir, layOut(t, small, Machine{}), again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(allComplete(), readStates(t, dir)); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
	after := stamps(t, dir)
	for place, state := range before {
		if state == record.Complete && kept[place] != after[place] {
			t.Errorf("%s was complete and is measured again", place)
		}
	}
	if *opened != 2 {
		t.Errorf("%d engines opened", *opened)
	}

	none, opened := deps(&silent{}, always)
	if err := Run(t.Context(), dir, layOut(t, small, Machine{}), none); err != nil || *opened != 0 {
		t.Errorf("a finished suite: error %v, %d engines opened", err, *opened)
	}
}

func TestResume_Refused(t *testing.T) {
	d, opened := deps(&silent{}, always)
	d.NoAttribution = true
	dir := filepath.Join(t.TempDir(), "suite")
	if err := Run(t.Context(), dir, layOut(t, small, Machine{}), d); err != nil {
		t.Fatal(err)
	}
	*opened = 0
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "thesis.txt"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	half := func(model string, o EngineOptions) (engine.Config, error) {
		cfg, err := config(model, o)
		cfg.DType = "bfloat16"
		return cfg, err
	}
	tests := []struct {
		name, dir, text string
		machine         Machine
		change          func(*Manifest)
		want            string
	}{
		{"another text", dir, small + "# harmless\n", Machine{}, nil, "its text has changed"},
		{"another rate of sampling", dir, small, Machine{}, func(m *Manifest) { m.SampleHz = 10 }, "sampled at 0 Hz, not 10"},
		{"a service level", dir, small, Machine{}, func(m *Manifest) { m.SLO = &workload.SLO{TTFTNs: 1} }, "its service level"},
		{"another dtype", dir, small, Machine{Config: half}, nil, "engine gpt2 is configured differently"},
		{"something else", foreign, small, Machine{}, nil, "it holds thesis.txt"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := layOut(t, tt.text, tt.machine)
			if tt.change != nil {
				tt.change(m)
			}
			err := Run(t.Context(), tt.dir, m, d)
			if !errors.Is(err, ErrOccupied) || !strings.Contains(err.Error(), tt.want) || *opened > 0 {
				t.Errorf("error %v, want %q; %d engines opened", err, tt.want, *opened)
			}
		})
	}
}

// TestWorkerDies: the point is marked with the worker's last lines, and the next
// has a fresh worker.
func TestWorkerDies(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "suite")
	d, opened := deps(&silent{}, func(n int, _ engine.Config) (Worker, error) {
		w := newWorker()
		if n == 1 {
			w.onRun = func(plan int) error {
				if plan == 2 {
					return &engine.WorkerError{During: "run", What: "died: signal: segmentation fault", LogTail: []string{"Fatal Python error"}}
				}
				return nil
			}
		}
		return w, nil
	})
	d.NoAttribution = true
	m := layOut(t, small, Machine{})
	if err := Run(t.Context(), dir, m, d); err != nil {
		t.Fatal(err)
	}
	failed := 0
	for _, p := range m.Points {
		for _, r := range p.Repeats {
			if r.State == record.Failed {
				failed++
				if !strings.Contains(r.Problem, "Fatal Python error") {
					t.Errorf("%s: problem %q", r.Dir, r.Problem)
				}
			} else if r.State != record.Complete {
				t.Errorf("%s: state %q", r.Dir, r.State)
			}
		}
	}
	if failed != 1 || *opened != 3 || m.Engines[0].Opened != 2 {
		t.Errorf("%d repeats failed, %d engines opened, %d of the first", failed, *opened, m.Engines[0].Opened)
	}
	again, _ := deps(&silent{}, always)
	again.NoAttribution = true
	if err := Run(t.Context(), dir, layOut(t, small, Machine{}), again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(allComplete(), readStates(t, dir)); diff != "" {
		t.Errorf("states after the second run (-want +got):\n%s", diff)
	}
}

// TestRequestRefused: what the engine refuses is in the record, and neither it
// nor a failing plan costs a worker.
func TestPlanFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "suite")
	d, opened := deps(&silent{}, func(int, engine.Config) (Worker, error) {
		w := newWorker()
		w.onRun = func(plan int) error {
			if plan == 1 {
				return errors.New("no room for this plan")
			}
			return nil
		}
		return w, nil
	})
	d.NoAttribution = true
	m := layOut(t, small, Machine{})
	if err := Run(t.Context(), dir, m, d); err != nil {
		t.Fatal(err)
	}
	if *opened != 2 {
		t.Errorf("%d engines opened, want 2", *opened)
	}
}

func TestOutOfMemory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "suite")
	d, _ := deps(&silent{}, func(_ int, cfg engine.Config) (Worker, error) {
		if cfg.Model.Name == "gpt2:2" {
			return nil, &engine.WorkerError{During: "open", What: "died: exit status 1",
				LogTail: []string{"torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 200.00 MiB.", "Traceback (most recent call last):"}}
		}
		return newWorker(), nil
	})
	d.NoAttribution = true
	m := layOut(t, small, Machine{})
	if err := Run(t.Context(), dir, m, d); err != nil {
		t.Fatal(err)
	}
	e := m.engine("gpt2:2")
	if !strings.HasPrefix(e.Problem, "out of memory: torch.OutOfMemoryError") {
		t.Errorf("problem %q", e.Problem)
	}
	for _, p := range m.Points {
		for _, r := range p.Repeats {
			if wanted := p.Engine == "gpt2"; wanted != (r.State == record.Complete) || wanted != (r.Problem == "") {
				t.Errorf("%s: state %q, problem %q", r.Dir, r.State, r.Problem)
			}
		}
	}
}

func TestNoEngineOpens(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "suite")
	missing := errors.New("there is no .venv: run make setup")
	d, _ := deps(&silent{}, func(int, engine.Config) (Worker, error) { return nil, missing })
	m := layOut(t, small, Machine{})
	if err := Run(t.Context(), dir, m, d); !errors.Is(err, missing) || m.State != record.Failed {
		t.Errorf("error %v, state %s", err, m.State)
	}
}

func TestQuantiles(t *testing.T) {
	step := func(size int, wall float64) weighed {
		return weighed{shape{decodes: size, context: 10 * size}, size, wall}
	}
	steps := []weighed{step(4, 1), step(1, 1), step(8, 96), step(2, 1), step(4, 1)}
	got := quantiles(steps, 3)
	want := []weighed{step(1, 1), step(8, 96)}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(shape{}, weighed{})); diff != "" {
		t.Errorf("the smallest, the middle of the time and the largest (-want +got):\n%s", diff)
	}
	if got := quantiles(nil, 3); got != nil {
		t.Errorf("of nothing: %v", got)
	}
}
