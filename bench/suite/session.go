package suite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"stepbench/bench/record"
	"stepbench/bench/telemetry"
	"stepbench/bench/workload"
	"stepbench/engine"
)

// session is one engine configuration, open or not.
type session struct {
	*runner
	e       *Engine
	worker  Worker // nil: not open
	devices []*telemetry.Device
}

// open opens the engine unless it is. One that cannot be opened has a Problem
// then, and is no error.
func (s *session) open(ctx context.Context) error {
	if s.worker != nil {
		return nil
	}
	s.Progress.Stage("opening %s", s.e.Name)
	start := time.Now()
	worker, err := s.Open(ctx, s.e.Config)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		s.unfit(err, "")
		return nil
	}
	info := worker.Info()
	s.worker = worker
	s.e.Info, s.e.Problem = &info, ""
	s.e.Opened++
	s.Progress.Stage("%s open after %.1f s: vLLM %s on %s", s.e.Name, time.Since(start).Seconds(), info.VLLMVersion, info.Device)
	if s.Devices != nil {
		s.devices = s.Devices(ctx, info, s.e.TP*s.e.PP)
	}
	if err := s.warmUp(ctx); err != nil {
		s.close()
		if ctx.Err() != nil {
			return err
		}
		s.unfit(err, "warm-up: ")
	}
	return s.save()
}

// unfit notes that the engine cannot be used.
func (s *session) unfit(err error, during string) {
	s.e.Problem = during + reason(err)
	if s.firstErr == nil {
		s.firstErr = err
	}
	s.Progress.Stage("%s is not run: %s", s.e.Name, s.e.Problem)
}

func (s *session) close() {
	if s.worker != nil {
		_ = s.worker.Close() // what it measured is on disk; a dead one has nothing to say
		s.worker = nil
	}
	for _, d := range s.devices {
		d.Close()
	}
	s.devices = nil
}

// measure runs one repeat of a point.
func (s *session) measure(ctx context.Context, t task) error {
	if err := s.open(ctx); err != nil || s.e.Problem != "" {
		return err
	}
	s.done++
	s.Progress.Stage("[%d/%d] %s, repeat %s", s.done, s.total, t.point.ID, filepath.Base(t.repeat.Dir))
	dir := filepath.Join(s.dir, filepath.FromSlash(t.repeat.Dir))
	if err := os.RemoveAll(dir); err != nil { // what a killed run left
		return err
	}
	m := s.Manifest()
	m.Engine, m.Info = s.e.Config, s.e.Info
	run, err := record.Create(dir, m)
	if err != nil {
		return err
	}
	s.measured = true
	cause := s.execute(ctx, run, t)
	state := record.Complete
	switch {
	case cause != nil && ctx.Err() != nil:
		state = record.Interrupted
	case cause != nil:
		state = record.Failed
	}
	if err := run.Finish(state, cause); err != nil {
		return errors.Join(cause, err)
	}
	if err := s.mark(t, state, cause); err != nil || state == record.Interrupted {
		return errors.Join(err, cause)
	}
	var died *engine.WorkerError
	if errors.As(cause, &died) {
		s.Progress.Stage("%s: %s", t.point.ID, reason(cause))
		s.close()
	}
	return nil
}

func (s *session) mark(t task, state record.State, cause error) error {
	t.repeat.State, t.repeat.Problem = state, ""
	if cause != nil {
		t.repeat.Problem = cause.Error()
	}
	return s.save()
}

func (s *session) execute(ctx context.Context, run *record.Run, t task) error {
	spec, err := s.spec(t)
	if err != nil {
		return err
	}
	plan, err := spec.Prepare(ctx, func(ctx context.Context, texts []string) ([][]int32, error) {
		return engine.Tokenise(ctx, s.worker, texts)
	})
	if err != nil {
		return err
	}
	run.Manifest.SetWorkload(spec)
	if err := run.Save(); err != nil {
		return err
	}
	watched := record.Watched{Host: telemetry.NewHost(), Devices: s.devices, SampleHz: s.m.SampleHz}
	if p, ok := s.worker.(interface{ PID() int }); ok {
		watched.WorkerPID = p.PID()
	}
	if err := run.Watch(watched); err != nil {
		return err
	}
	sink := run.Sink()
	return run.Measure(ctx, s.worker, func() error {
		return workload.Run(ctx, s.worker, spec, plan, func(b engine.Batch) error {
			s.Progress.Update(b.Progress)
			return sink(b)
		})
	})
}

// spec resolves a repeat for the open engine.
func (s *session) spec(t task) (workload.Spec, error) {
	info := s.worker.Info()
	spec, err := workload.New(t.repeat.Flags, workload.Limits{Vocab: info.VocabSize, MaxModelTokens: info.MaxModelLen})
	if err != nil {
		return workload.Spec{}, err
	}
	t.point.Cut.cut(&spec)
	spec.Profile = s.m.Profile
	if t.point.WarmUp > 0 && !spec.Offline() {
		spec.WarmUpRequests = t.point.WarmUp
	}
	if spec.Profile != ProfileQuick {
		spec.AddTail()
	}
	return spec, nil
}

// warmUp sends two requests as long as the engine's longest, which nobody
// records: the first steps pay for code and memory that later ones reuse.
func (s *session) warmUp(ctx context.Context) error {
	flags := workload.DefaultFlags()
	flags.Requests, flags.Pattern, flags.RatePerS = 2, "offline", 0
	flags.Seed = ^uint64(0) // no point's prompts
	flags.OutputTokens = 4
	for _, t := range s.plan[s.e.Name] {
		spec, err := s.spec(t)
		if err != nil {
			continue // said when its turn comes
		}
		flags.InputTokens = max(flags.InputTokens, spec.Planned(0).InputTokens)
	}
	info := s.worker.Info()
	if limit := info.MaxModelLen; limit > 0 {
		flags.InputTokens = max(1, min(flags.InputTokens, limit-flags.OutputTokens))
	}
	spec, err := workload.New(flags, workload.Limits{Vocab: info.VocabSize, MaxModelTokens: info.MaxModelLen})
	if err != nil {
		return err
	}
	plan, err := spec.Plan()
	if err != nil {
		return err
	}
	return s.worker.Run(ctx, plan, func(engine.Batch) error { return nil })
}
