package encode

import (
	"fmt"
	"math"

	"stepbench/bench/micro"
)

// topRows is how many kernels or ops a row lists.
const topRows = 5

// row is a cell with the keys of JSONL. Times are in µs per step; what was not
// measured is null. The parts from schedule to unaccounted add up to the median
// wall time, bridge is outside it.
type row struct {
	Model   string `json:"model"`
	Phase   string `json:"phase"`
	Batch   int    `json:"batch"`
	Context int    `json:"context"`
	Chunk   int    `json:"chunk"` // prompt tokens of a step, 0 for whole prompts

	Steps     int `json:"steps"`
	Discarded int `json:"discarded"` // their reasons are among the flags
	// DroppedRounds came before a change of level; their steps are not among Steps.
	DroppedRounds int `json:"dropped_rounds"`
	DroppedSteps  int `json:"dropped_steps"`

	// GraphMode is NONE, PIECEWISE, FULL or several joined by "+", PaddedTokens the
	// most that a step ran on.
	GraphMode    *string `json:"graph_mode"`
	PaddedTokens *int    `json:"padded_tokens"`

	WallUs        *wall    `json:"wall_us"`
	ScheduleUs    *float64 `json:"schedule_us"`
	ExecuteUs     *float64 `json:"execute_us"`
	SampleUs      *float64 `json:"sample_us"`
	UpdateUs      *float64 `json:"update_us"`
	OutputUs      *float64 `json:"output_us"`
	StatsUs       *float64 `json:"stats_us"`
	CoreUs        *float64 `json:"core_us"`
	UnaccountedUs *float64 `json:"unaccounted_us"`
	BridgeUs      *float64 `json:"bridge_us"`

	DeviceBusyUs *float64 `json:"device_busy_us"`
	DeviceIdleUs *float64 `json:"device_idle_us"`
	// IdleGapUs is the idle time by the gaps between kernels, less what the
	// profiler added to them, IdleGapProfiledUs as they were found.
	IdleGapUs         *float64   `json:"idle_gap_us"`
	IdleGapProfiledUs *float64   `json:"idle_gap_profiled_us"`
	IdleCheck         *idleCheck `json:"idle_check"`
	Top               []top      `json:"top"`

	TokensPerS *float64 `json:"tokens_per_s"`
	Flags      []string `json:"flags"`
}

// wall is the wall time: the median over rounds with its 95 % interval, and
// percentiles of steps.
type wall struct {
	Median float64     `json:"median"`
	P10    float64     `json:"p10"`
	P90    float64     `json:"p90"`
	CI95   *[2]float64 `json:"ci95"`
}

// idleCheck is micro.IdleCheck: the idle time of a step from gaps between kernels
// and from the wall time, of different steps.
type idleCheck struct {
	FromGapsUs float64  `json:"idle_from_gaps_us"`
	FromWallUs float64  `json:"idle_from_wall_us"`
	Ratio      *float64 `json:"ratio"` // null where nothing was idle
}

func newIdleCheck(c *micro.IdleCheck) *idleCheck {
	if c == nil {
		return nil
	}
	out := &idleCheck{FromGapsUs: us(c.FromGapsNs), FromWallUs: us(c.FromWallNs)}
	if ratio, ok := c.Ratio(); ok {
		out.Ratio = frac(&ratio)
	}
	return out
}

// top is one kernel or op, per step.
type top struct {
	Name  string  `json:"name"`
	Calls float64 `json:"calls"`
	Us    float64 `json:"us"`
}

// us is ns in µs, to the nanosecond.
func us(ns float64) float64 { return round(ns/1e3, 3) }

func usp(ns float64) *float64 { v := us(ns); return &v }

func round(x float64, digits int) float64 {
	scale := math.Pow10(digits)
	return math.Round(x*scale) / scale
}

// rows are the measured cells, then the refused ones.
func rows(res *micro.Results) []row {
	var out []row
	for i := range res.Cells {
		out = append(out, newRow(res, &res.Cells[i]))
	}
	for _, r := range res.Refused {
		out = append(out, refusedRow(res, r))
	}
	return out
}

// place fills in where the cell is in the grid. A cell that its axes do not
// describe carries its batch as a flag.
func (r *row) place(res *micro.Results, c micro.Cell) {
	a := c.Axes()
	r.Model, r.Phase, r.Batch, r.Context, r.Chunk = res.Model.Name, string(a.Phase), a.Batch, a.Context, a.Chunk
	r.Top, r.Flags = []top{}, []string{}
	if !a.Exact {
		r.Flags = append(r.Flags, "shape="+c.Name())
	}
}

func newRow(res *micro.Results, c *micro.CellResult) row {
	var r row
	r.place(res, c.Cell)
	r.Flags = append(r.Flags, c.Flags...)
	r.Steps = c.Steps
	for _, n := range c.Discarded {
		r.Discarded += n
	}
	r.DroppedRounds, r.DroppedSteps = c.Dropped, c.DroppedSteps
	if c.Steps == 0 {
		return r
	}
	if c.GraphMode != "" {
		r.GraphMode, r.PaddedTokens = &c.GraphMode, &c.PaddedTokens
	}
	w := c.Wall
	r.WallUs = &wall{Median: us(w.MedianNs), P10: us(w.P10Ns), P90: us(w.P90Ns)}
	if w.CIMethod != "" {
		r.WallUs.CI95 = &[2]float64{us(w.CI.Lo), us(w.CI.Hi)}
	}
	p := c.Parts
	r.ScheduleUs, r.ExecuteUs, r.SampleUs, r.UpdateUs = usp(p.ScheduleNs), usp(p.ExecuteNs), usp(p.SampleNs), usp(p.UpdateNs)
	r.OutputUs, r.StatsUs, r.CoreUs, r.UnaccountedUs, r.BridgeUs = usp(p.OutputNs), usp(p.StatsNs), usp(p.CoreNs), usp(p.UnaccountedNs), usp(c.BridgeNs)
	tokens := round(c.TokensPerS, 1)
	r.TokensPerS = &tokens
	if d := c.Device; d != nil {
		r.DeviceBusyUs, r.DeviceIdleUs, r.IdleGapProfiledUs = usp(d.BusyNs), usp(d.IdleNs), usp(d.GapNs)
		if r.IdleCheck = newIdleCheck(d.Idle); r.IdleCheck != nil {
			r.IdleGapUs = &r.IdleCheck.FromGapsUs
		}
		r.Top = tops(d.Rows[:min(topRows, len(d.Rows))])
	}
	return r
}

func refusedRow(res *micro.Results, refused micro.Refusal) row {
	var r row
	r.place(res, refused.Cell)
	r.Flags = append(r.Flags, fmt.Sprintf("%s: %s", micro.FlagRefused, refused.Reason))
	return r
}

func tops(rows []micro.Row) []top {
	out := make([]top, len(rows))
	for i, k := range rows {
		out[i] = top{Name: k.Name, Calls: round(k.Calls, 3), Us: us(k.Ns)}
	}
	return out
}
