package encode

import (
	"encoding/json"
	"io"
	"time"

	"stepbench/bench/abtest"
	"stepbench/bench/abtest/archive"
	"stepbench/bench/abtest/estimate"
	"stepbench/bench/stats"
)

// header opens the document and every line.
type header struct {
	SchemaVersion int    `json:"schema_version"`
	Method        string `json:"method"`
	MethodVersion int    `json:"method_version"`
}

func newHeader() header { return header{SchemaVersion, Method, archive.MethodVersion} }

// report is the JSON document. Bursts are left out of the evidence: their
// values by quad are in Series, all of them in Parquet.
type report struct {
	header
	Stepbench string           `json:"stepbench_version"`
	Command   string           `json:"command"`
	StartUTC  time.Time        `json:"start_utc,omitzero"`
	Summary   summary          `json:"summary"`
	Result    *abtest.Result   `json:"result"`
	Series    []cellSeries     `json:"series"`
	Evidence  *abtest.Evidence `json:"evidence"`
	Setup     []Fact           `json:"setup"`
}

// summary is the verdict with its effects in percent.
type summary struct {
	Line     string           `json:"line"`
	Verdict  estimate.Verdict `json:"verdict"`
	Reason   string           `json:"reason"`
	ExitCode int              `json:"exit_code"`
	Endpoint string           `json:"endpoint"`
	Kernel   change           `json:"kernel"`
	Wall     change           `json:"wall"`
	// Tested is the effect of the kernels under test alone; null where they are
	// not known.
	Tested   *change  `json:"tested"`
	Outputs  string   `json:"outputs"`
	AA       string   `json:"a_a"` // empty: the arms differ
	Flags    []string `json:"flags"`
	ElapsedS float64  `json:"elapsed_s"`
}

// change is an effect in percent of A, positive where B is slower. What is not
// known is null.
type change struct {
	Pct           *float64    `json:"pct"`
	CIPct         *[2]float64 `json:"ci_pct"` // at 1-alpha
	TOSTPct       *[2]float64 `json:"tost_ci_pct"`
	Alpha         float64     `json:"alpha"`
	MarginPct     float64     `json:"margin_pct"`
	FloorPct      *float64    `json:"floor_pct"` // null without calibration
	MDE80Pct      *float64    `json:"mde80_pct"`
	SelfEstimated bool        `json:"self_estimated"`
	Conditional   bool        `json:"conditional"`
	Noisier       bool        `json:"noisier"`
}

func newChange(r *estimate.Result) change {
	c := change{
		Alpha: r.Alpha, MarginPct: round(estimate.Percent(r.MarginLog)),
		SelfEstimated: r.SelfEstimated, Conditional: r.Conditional, Noisier: r.Noisier,
	}
	if len(r.LaunchesLog) > 0 {
		c.Pct = pct(r.EffectLog)
	}
	if b := r.Bounds; b != nil {
		c.CIPct, c.TOSTPct, c.MDE80Pct = pctRange(b.CI), pctRange(b.TOST), pct(b.MDE80Log)
		if !r.SelfEstimated {
			c.FloorPct = pct(b.FloorLog)
		}
	}
	return c
}

func testedChange(r *abtest.Result) *change {
	if r.Tested == nil {
		return nil
	}
	tested := newChange(&r.Tested.Primary)
	return &tested
}

func newSummary(c *Comparison) summary {
	r := c.Result
	s := summary{
		Line: Line(c), Verdict: r.Verdict, Reason: r.Reason, ExitCode: r.ExitCode, Endpoint: string(r.Endpoint),
		Kernel: newChange(&r.Kernel.Primary), Wall: newChange(&r.Wall.Primary),
		Tested:  testedChange(r),
		Outputs: string(r.Outputs.Status), AA: r.Identical, Flags: []string{}, ElapsedS: round(c.Evidence.ElapsedS),
	}
	s.Flags = append(s.Flags, r.Flags...)
	return s
}

// cellSeries are a cell's quads.
type cellSeries struct {
	Cell        string                `json:"cell"`
	Attribution []abtest.LaunchSeries `json:"attribution"`
	Timing      []abtest.LaunchSeries `json:"timing"`
}

func newSeries(c *Comparison) []cellSeries {
	all := []cellSeries{}
	for _, cell := range c.Evidence.Cells {
		all = append(all, cellSeries{
			cell, c.Evidence.Series(c.Result.Endpoint, cell, abtest.Attribution),
			c.Evidence.Series(c.Result.Endpoint, cell, abtest.Timing),
		})
	}
	return all
}

// document writes one JSON object.
func document(w io.Writer, c *Comparison) error {
	ev := *c.Evidence
	ev.Launches = make([]abtest.Launch, len(c.Evidence.Launches))
	for i, l := range c.Evidence.Launches {
		l.Bursts = nil
		ev.Launches[i] = l
	}
	e := encoder(w)
	e.SetIndent("", "  ")
	return e.Encode(report{
		header: newHeader(), Stepbench: c.Version, Command: c.Command, StartUTC: c.Start,
		Summary: newSummary(c), Result: c.Result, Series: newSeries(c), Evidence: &ev, Setup: append([]Fact{}, c.Setup...),
	})
}

func encoder(w io.Writer) *json.Encoder {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false) // kernel names have template brackets
	return e
}

func pct(log float64) *float64 {
	v := round(estimate.Percent(log))
	return &v
}

func pctRange(ci stats.Interval) *[2]float64 { return &[2]float64{*pct(ci.Lo), *pct(ci.Hi)} }
