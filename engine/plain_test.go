package engine_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stepbench/engine"
)

// plain opens an engine of the stand-in vllm under the plain Python loop.
func plain(t *testing.T) *engine.Plain {
	t.Helper()
	cfg := tiny("fake")
	cfg.MaxNumBatchedTokens = 12
	p, err := engine.OpenPlain(context.Background(), cfg, onFakeVLLM(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func TestPlainPlays(t *testing.T) {
	p := plain(t)
	if info := p.Info(); info.HostMode != engine.HostPlain || info.VLLMVersion != "0.26.0-fake" {
		t.Errorf("info %+v", info)
	}
	script := engine.Script{Ops: []engine.Op{
		{Submit: []engine.Request{request(1, 8, 100), request(2, 8, 100)}, Steps: 2},
		{Steps: 1, Limits: engine.Limits{Tokens: 1}, Abort: true, Collect: true},
		{Submit: []engine.Request{request(3, 4, 100)}, Steps: 1, Abort: true},
	}}
	type row struct{ Op, CtxTokens, GenReqs, Outputs int32 }
	var got []row
	for range 2 { // a second script finds nothing of the first
		got = nil
		err := p.Play(context.Background(), script, func(b engine.Batch) error {
			for _, s := range b.Steps {
				got = append(got, row{s.Op, s.CtxTokens, s.GenReqs, s.Outputs})
				if s.WallNs() <= 0 || s.ScheduleNs <= 0 {
					t.Errorf("step %d: wall %d ns, schedule %d ns", s.Index, s.WallNs(), s.ScheduleNs)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		want := []row{{0, 12, 0, 1}, {0, 4, 1, 2}, {1, 0, 1, 1}, {2, 4, 0, 1}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("steps (-want +got)\n%s", diff)
		}
	}
}

// Engines are opened side by side under a context that ends when all are open.
func TestPlainOutlivesItsOpening(t *testing.T) {
	ctx, end := context.WithCancel(context.Background())
	p, err := engine.OpenPlain(ctx, tiny("fake"), onFakeVLLM(t))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	end()
	script := engine.Script{Ops: []engine.Op{{Submit: []engine.Request{request(1, 8, 100)}, Steps: 1, Abort: true}}}
	keep := func(engine.Batch) error { return nil }
	if err := p.Play(context.Background(), script, keep); err != nil {
		t.Errorf("after the end of the context it was opened under: %v", err)
	}
}

// Each step says which graph it replayed and on how many tokens.
func TestGraphModes(t *testing.T) {
	cfg := tiny("fake")
	cfg.Extra = map[string]any{"compilation_config": map[string]any{"cudagraph_capture_sizes": []int{2, 4}}}
	p, err := engine.OpenPlain(context.Background(), cfg, onFakeVLLM(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	if info := p.Info(); info.GraphMode != "FULL" || info.MaxGraphTokens != 4 {
		t.Errorf("graphs %s of up to %d tokens", info.GraphMode, info.MaxGraphTokens)
	}
	type row struct {
		CtxTokens, GenReqs int32
		Mode               string
		Padded             int32
	}
	var got []row
	err = p.Play(context.Background(), engine.Script{Ops: []engine.Op{
		{Submit: []engine.Request{request(1, 5, 100), request(2, 3, 100), request(3, 1, 100)}, Steps: 2, Abort: true},
		{Steps: 1},
	}}, func(b engine.Batch) error {
		for _, s := range b.Steps {
			got = append(got, row{s.CtxTokens, s.GenReqs, s.GraphMode.String(), s.PaddedTokens})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []row{{9, 0, "NONE", 9}, {0, 3, "FULL", 4}, {0, 0, "FULL", 2}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("steps (-want +got)\n%s", diff)
	}
}

func TestPlainFaults(t *testing.T) {
	bad := func(token int32) engine.Script {
		r := request(1, 4, 10)
		r.Prompt[0] = token
		return engine.Script{Ops: []engine.Op{{Submit: []engine.Request{r}, Steps: 2}}}
	}
	sink := func(engine.Batch) error { return nil }
	p := plain(t)
	if err := p.Play(context.Background(), bad(666), sink); err == nil || err.Error() != "RuntimeError: the kernel failed" {
		t.Errorf("an exception in a step: %v", err)
	}
	p = plain(t)
	var died *engine.WorkerError
	if err := p.Play(context.Background(), bad(668), sink); !errors.As(err, &died) || !strings.Contains(err.Error(), "segmentation fault") {
		t.Errorf("a segfault in a step: %v", err)
	}
}
