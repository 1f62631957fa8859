package record

import (
	"context"
	"errors"
	"testing"
	"time"

	"stepbench/bench/workload"
	"stepbench/bench/workload/workloadtest"
	"stepbench/engine"
)

// fakeEngine delivers prepared batches, then fails with err.
type fakeEngine struct {
	batches []engine.Batch
	err     error
}

var _ engine.Engine = (*fakeEngine)(nil)

func (e *fakeEngine) Info() engine.Info { return engine.Info{Device: "fake"} }

func (e *fakeEngine) Run(_ context.Context, _ engine.Plan, sink engine.Sink) error {
	for _, b := range e.batches {
		if err := sink(b); err != nil {
			return err
		}
		// The record must hold nothing of a batch but its line in the journal.
		clear(b.Steps)
		for i := range b.Requests {
			clear(b.Requests[i].TokenNs)
			b.Requests[i] = engine.RequestResult{}
		}
	}
	return e.err
}

func (e *fakeEngine) Call(context.Context, string, any, any) error { return errors.New("no calls") }
func (e *fakeEngine) Close() error                                 { return nil }

// measured is a simulated run: its records, and the same in batches.
type measured struct {
	spec     workload.Spec
	requests []engine.RequestResult
	steps    []engine.Step
	batches  []engine.Batch
}

func simulate(t testing.TB, change func(*workload.Flags, *workloadtest.Engine)) measured {
	t.Helper()
	flags, e := workload.DefaultFlags(), workloadtest.Default()
	if change != nil {
		change(&flags, &e)
	}
	spec, err := workload.New(flags, workload.Limits{Vocab: 50257, MaxModelTokens: 1024})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := spec.Plan()
	if err != nil {
		t.Fatal(err)
	}
	m := measured{spec: spec}
	m.requests, m.steps = e.Run(plan)
	again, steps := e.Run(plan) // batches share no memory with what is compared
	const size = 100
	for len(steps) > 0 {
		n := min(size, len(steps))
		m.batches = append(m.batches, engine.Batch{StartNs: e.StartNs, Steps: steps[:n]})
		steps = steps[n:]
	}
	m.batches = append(m.batches, engine.Batch{StartNs: e.StartNs}) // a sign of life
	m.batches = append(m.batches, engine.Batch{StartNs: e.StartNs, Requests: again})
	return m
}

func manifest(m measured) Manifest {
	out := Manifest{
		Tool: Tool{Version: "0.1.0", Go: "go1.26"}, Command: "run", Args: []string{"stepbench", "run"},
		StartUTC: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Engine:   engine.Config{Model: engine.Model{Name: "gpt2", Synthetic: true}, Extra: map[string]any{"a": "b"}},
		Info:     &engine.Info{VLLMVersion: "0.26.0", Env: map[string]string{"OMP_NUM_THREADS": "2"}},
	}
	out.SetWorkload(m.spec)
	return out
}
