package encode

import (
	"io"
	"math"

	"stepbench/bench/abtest"
	"stepbench/bench/stats"
	"stepbench/bench/telemetry"
)

// record tells the kinds of line apart.
type record struct {
	header
	Record string `json:"record"` // verdict, cell, kernel or gate
}

type verdictLine struct {
	record
	A string `json:"a"`
	B string `json:"b"`
	summary
}

// cellLine is a cell. Times are in µs per step, what was not measured is null.
type cellLine struct {
	record
	Cell       string     `json:"cell"`
	Verdict    string     `json:"verdict"`
	Reason     string     `json:"reason"`
	KernelUsA  *float64   `json:"kernel_us_a"`
	KernelUsB  *float64   `json:"kernel_us_b"`
	Kernel     change     `json:"kernel"`
	Tested     *change    `json:"tested"` // by the kernels under test alone
	BusyUsA    *float64   `json:"busy_us_a"`
	BusyUsB    *float64   `json:"busy_us_b"`
	WallUsA    *float64   `json:"wall_us_a"`
	WallUsB    *float64   `json:"wall_us_b"`
	Wall       change     `json:"wall"`
	BridgeUsA  *float64   `json:"bridge_us_a"`
	BridgeUsB  *float64   `json:"bridge_us_b"`
	Context    [2]int     `json:"context"`
	BurstSteps int        `json:"burst_steps"`
	Quads      quadCounts `json:"quads"`
}

type quadCounts struct {
	Attribution abtest.QuadCount `json:"attribution"`
	Timing      abtest.QuadCount `json:"timing"`
}

// kernelLine is a kernel or op of a cell, per step.
type kernelLine struct {
	record
	Cell            string      `json:"cell"`
	NameA           string      `json:"name_a"`
	NameB           string      `json:"name_b"`
	CallsA          float64     `json:"calls_a"`
	CallsB          float64     `json:"calls_b"`
	UsA             float64     `json:"us_a"`
	UsB             float64     `json:"us_b"`
	DeltaUs         float64     `json:"delta_us"`
	DeltaCI95Us     *[2]float64 `json:"delta_ci95_us"`
	ContributionPct float64     `json:"contribution_pct"`
	ShareFrac       float64     `json:"share"`
	Code            string      `json:"code"`
	Target          bool        `json:"target"`
}

type gateLine struct {
	record
	telemetry.Gate
}

// lines writes a JSON object for the verdict, each cell, each of its kernels
// and each gate.
func lines(w io.Writer, c *Comparison) error {
	e, r := encoder(w), c.Result
	kind := func(name string) record { return record{newHeader(), name} }
	if err := e.Encode(verdictLine{kind("verdict"), c.Evidence.Sides[abtest.ArmA].Name, c.Evidence.Sides[abtest.ArmB].Name, newSummary(c)}); err != nil {
		return err
	}
	for i := range r.Cells {
		cell := &r.Cells[i]
		kernel, wall := cellEffects(r, cell.Name)
		var tested *change
		if r.Tested != nil {
			found := newChange(&r.Tested.Cells[i].Result)
			tested = &found
		}
		if err := e.Encode(cellLine{
			record: kind("cell"), Cell: cell.Name, Verdict: string(kernel.Verdict), Reason: kernel.Reason,
			KernelUsA: usOf(cell.KernelUs[0]), KernelUsB: usOf(cell.KernelUs[1]), Kernel: newChange(kernel), Tested: tested,
			BusyUsA: usOf(cell.BusyUs[0]), BusyUsB: usOf(cell.BusyUs[1]),
			WallUsA: usOf(cell.WallUs[0]), WallUsB: usOf(cell.WallUs[1]), Wall: newChange(wall),
			BridgeUsA: usOf(cell.BridgeUs[0]), BridgeUsB: usOf(cell.BridgeUs[1]),
			Context: cell.Context, BurstSteps: cell.BurstSteps, Quads: quadCounts{cell.Attribution, cell.Timing},
		}); err != nil {
			return err
		}
		for k := range cell.Kernels {
			row := &cell.Kernels[k]
			if err := e.Encode(kernelLine{
				record: kind("kernel"), Cell: cell.Name, NameA: row.NameA, NameB: row.NameB,
				CallsA: round(row.Calls[0]), CallsB: round(row.Calls[1]), UsA: round(row.Us[0]), UsB: round(row.Us[1]),
				DeltaUs: round(row.DeltaUs), DeltaCI95Us: rangeOf(row.Interval),
				ContributionPct: round(row.ContributionPct), ShareFrac: round(row.ShareFrac), Code: string(row.Code), Target: row.Target,
			}); err != nil {
				return err
			}
		}
	}
	for _, g := range r.Gates {
		if err := e.Encode(gateLine{kind("gate"), g}); err != nil {
			return err
		}
	}
	return nil
}

// round keeps four decimals: tenths of a nanosecond, or hundredths of a basis
// point.
func round(x float64) float64 { return math.Round(1e4*x) / 1e4 }

// usOf is a time in µs, null where it is 0: nothing was measured.
func usOf(us float64) *float64 {
	if us == 0 {
		return nil
	}
	v := round(us)
	return &v
}

func rangeOf(ci *stats.Interval) *[2]float64 {
	if ci == nil {
		return nil
	}
	return &[2]float64{round(ci.Lo), round(ci.Hi)}
}
