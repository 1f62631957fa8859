package analysis

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"stepbench/bench/bottleneck"
	"stepbench/bench/record"
	"stepbench/bench/suite"
)

// Load analyses what lies in dir: a suite, finished or not, or a single run,
// which is a suite of one point and one repeat. A repeat that cannot be read is
// a problem of its point, not an error.
func Load(dir string) (*Analysis, error) {
	m, err := manifest(dir)
	if err != nil {
		return nil, err
	}
	a := &Analysis{
		Suite: m.Suite, Profile: m.Profile, State: m.State, StartUTC: m.StartUTC, EndUTC: m.EndUTC,
		Tool: m.Tool, Args: m.Args, Host: m.Host, SLO: m.SLO, Warnings: slices.Clone(m.Warnings),
	}
	if m.Error != "" {
		a.Warnings = append(a.Warnings, "the suite ended early: "+m.Error)
	}
	for _, n := range m.NotRun {
		a.NotRun = append(a.NotRun, NotRun(n))
	}
	l := loader{dir: dir, a: a, attributions: make([]*bottleneck.Attribution, len(m.Engines))}
	for i := range m.Engines {
		l.engine(i, &m.Engines[i])
	}
	repeats := l.readAll(m)
	for i := range m.Points {
		l.point(m, &m.Points[i], repeats[i])
	}
	a.Scaling = l.scaling()
	l.recommend()
	a.Roadmap = roadmap(a.Points)
	return a, nil
}

// manifest reads suite.json, or makes one of a run's manifest.json.
func manifest(dir string) (*suite.Manifest, error) {
	if _, err := os.Stat(filepath.Join(dir, suite.ManifestFile)); err == nil {
		return suite.Open(dir)
	}
	if _, err := os.Stat(filepath.Join(dir, record.ManifestFile)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s holds neither %s nor %s: name the directory of a suite or of a run", dir, suite.ManifestFile, record.ManifestFile)
	}
	rec, err := record.Open(dir)
	if err != nil {
		return nil, err
	}
	return ofRun(rec)
}

// loader fills a from dir.
type loader struct {
	dir          string
	a            *Analysis
	attributions []*bottleneck.Attribution // of each engine, nil without
	runs         [][]*run                  // usable repeats of each point
}

func (l *loader) warn(format string, args ...any) {
	l.a.Warnings = append(l.a.Warnings, fmt.Sprintf(format, args...))
}

func (l *loader) engine(i int, m *suite.Engine) {
	e := Engine{Name: m.Name, Config: m.Config}
	if m.Info != nil {
		e.Info = *m.Info
		e.sizes()
	}
	if m.Problem != "" {
		l.a.NotRun = append(l.a.NotRun, NotRun{What: "engine " + m.Name, Why: m.Problem})
	}
	l.a.Engines = append(l.a.Engines, e)
	if m.Attribution == "" {
		return
	}
	attribution := &bottleneck.Attribution{}
	data, err := os.ReadFile(filepath.Join(l.dir, m.Attribution))
	if err == nil {
		err = json.Unmarshal(data, attribution)
	}
	if err != nil {
		l.warn("engine %s: its profiled bursts are left out: %v", m.Name, err)
		return
	}
	if attribution.Problem != "" {
		l.warn("engine %s: profiled bursts: %s", m.Name, attribution.Problem)
	}
	l.attributions[i] = attribution
	l.a.Engines[i].Profiled = attribution.Buckets
}

// sizes computes what the weights and the KV cache take, over all devices.
func (e *Engine) sizes() {
	s := e.Config.Model.Shape
	if s == nil {
		return
	}
	bytes := map[string]int64{"float32": 4, "bfloat16": 2, "float16": 2}[strings.TrimPrefix(e.Info.DType, "torch.")]
	if quantised, _ := e.Config.Extra["quantization"].(string); quantised == "" {
		e.WeightBytes = s.Parameters * bytes
	}
	if kind, _ := e.Config.Extra["kv_cache_dtype"].(string); strings.HasPrefix(kind, "fp8") {
		bytes = 1
	}
	tokens := int64(e.Info.KVBlocks) * int64(e.Info.KVBlockSize)
	e.KVBytes = tokens * 2 * int64(s.Layers) * int64(s.KVHeads) * int64(s.HeadDim) * bytes
}

// ofRun makes a suite of one run.
func ofRun(rec *record.Record) (*suite.Manifest, error) {
	m := rec.Manifest
	if m.Workload == nil {
		return nil, fmt.Errorf("run %s has no workload to analyse: its state is %s%s", rec.Dir, m.State, because(m.Error))
	}
	spec := m.Workload
	model := m.Engine.Model.Name
	p := suite.Point{
		ID: "run", Axis: "base", Engine: model, Model: model, Dataset: spec.Dataset, StandIn: spec.StandIn != "",
		Pattern: string(spec.Arrivals.Pattern), RatePerS: spec.Arrivals.RatePerS, Concurrency: spec.Concurrency,
		TP: max(1, m.Engine.TP), PP: max(1, m.Engine.PP),
		Repeats: []suite.Repeat{{Dir: ".", State: m.State, Problem: m.Error}},
	}
	if p.Label = fmt.Sprintf("%s %s %s", model, p.Dataset, p.Pattern); p.RatePerS > 0 {
		p.Label += fmt.Sprintf(" %g/s", p.RatePerS)
	}
	p.Devices = p.TP * p.PP
	return &suite.Manifest{
		SchemaVersion: suite.SchemaVersion, Suite: "run", Profile: spec.Profile, Tool: m.Tool, Args: m.Args, Host: m.Host,
		State: m.State, Error: m.Error, StartUTC: m.StartUTC, EndUTC: m.EndUTC, SLO: spec.SLO, Warnings: m.Warnings,
		Engines: []suite.Engine{{Name: model, Model: model, TP: p.TP, PP: p.PP, Config: m.Engine, Info: m.Info, Opened: 1}},
		Points:  []suite.Point{p},
	}, nil
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return " (" + why + ")"
}
