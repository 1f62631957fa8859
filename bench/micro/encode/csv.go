package encode

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"

	"stepbench/bench/micro"
)

// column is one column of the CSV table; an empty cell means not measured.
type column struct {
	name  string
	value func(*row, *micro.CellResult) string // the result is nil for refused cells
}

func number(get func(*row) *float64) func(*row, *micro.CellResult) string {
	return func(r *row, _ *micro.CellResult) string { return text(get(r)) }
}

func ofIdle(get func(*idleCheck) *float64) func(*row, *micro.CellResult) string {
	return func(r *row, _ *micro.CellResult) string {
		if r.IdleCheck == nil {
			return ""
		}
		return text(get(r.IdleCheck))
	}
}

func ofDevice(get func(*micro.Device) float64) func(*row, *micro.CellResult) string {
	return func(_ *row, c *micro.CellResult) string {
		if c == nil || c.Device == nil {
			return ""
		}
		v := round(get(c.Device), 5)
		return text(&v)
	}
}

func ofRoofline(get func(*micro.Roofline) *float64) func(*row, *micro.CellResult) string {
	return func(_ *row, c *micro.CellResult) string {
		if c == nil || c.Roofline == nil {
			return ""
		}
		return text(get(c.Roofline))
	}
}

func ofWall(get func(*wall) *float64) func(*row, *micro.CellResult) string {
	return func(r *row, _ *micro.CellResult) string {
		if r.WallUs == nil {
			return ""
		}
		return text(get(r.WallUs))
	}
}

func text(v *float64) string {
	if v == nil {
		return ""
	}
	return strconv.FormatFloat(*v, 'f', -1, 64)
}

func end(w *wall, i int) *float64 {
	if w.CI95 == nil {
		return nil
	}
	return &w.CI95[i]
}

func whole(v *float64) *float64 {
	if v == nil {
		return nil
	}
	r := round(*v, 0)
	return &r
}

var columns = []column{
	{"model", func(r *row, _ *micro.CellResult) string { return r.Model }},
	{"phase", func(r *row, _ *micro.CellResult) string { return r.Phase }},
	{"batch", func(r *row, _ *micro.CellResult) string { return strconv.Itoa(r.Batch) }},
	{"context", func(r *row, _ *micro.CellResult) string { return strconv.Itoa(r.Context) }},
	{"chunk", func(r *row, _ *micro.CellResult) string { return strconv.Itoa(r.Chunk) }},
	{"steps", func(r *row, _ *micro.CellResult) string { return strconv.Itoa(r.Steps) }},
	{"discarded", func(r *row, _ *micro.CellResult) string { return strconv.Itoa(r.Discarded) }},
	{"dropped_rounds", func(r *row, _ *micro.CellResult) string { return strconv.Itoa(r.DroppedRounds) }},
	{"dropped_steps", func(r *row, _ *micro.CellResult) string { return strconv.Itoa(r.DroppedSteps) }},
	{"wall_us_median", ofWall(func(w *wall) *float64 { return &w.Median })},
	{"wall_us_p10", ofWall(func(w *wall) *float64 { return &w.P10 })},
	{"wall_us_p90", ofWall(func(w *wall) *float64 { return &w.P90 })},
	{"wall_us_ci95_lo", ofWall(func(w *wall) *float64 { return end(w, 0) })},
	{"wall_us_ci95_hi", ofWall(func(w *wall) *float64 { return end(w, 1) })},
	{"schedule_us", number(func(r *row) *float64 { return r.ScheduleUs })},
	{"execute_us", number(func(r *row) *float64 { return r.ExecuteUs })},
	{"sample_us", number(func(r *row) *float64 { return r.SampleUs })},
	{"update_us", number(func(r *row) *float64 { return r.UpdateUs })},
	{"output_us", number(func(r *row) *float64 { return r.OutputUs })},
	{"stats_us", number(func(r *row) *float64 { return r.StatsUs })},
	{"core_us", number(func(r *row) *float64 { return r.CoreUs })},
	{"unaccounted_us", number(func(r *row) *float64 { return r.UnaccountedUs })},
	{"bridge_us", number(func(r *row) *float64 { return r.BridgeUs })},
	{"device_busy_us", number(func(r *row) *float64 { return r.DeviceBusyUs })},
	{"device_idle_us", number(func(r *row) *float64 { return r.DeviceIdleUs })},
	{"idle_gap_us", number(func(r *row) *float64 { return r.IdleGapUs })},
	{"idle_gap_profiled_us", number(func(r *row) *float64 { return r.IdleGapProfiledUs })},
	{"idle_from_wall_us", ofIdle(func(c *idleCheck) *float64 { return &c.FromWallUs })},
	{"idle_ratio", ofIdle(func(c *idleCheck) *float64 { return c.Ratio })},
	{"device_idle_frac", ofDevice(func(d *micro.Device) float64 { return d.BubbleFrac })},
	{"device_sum_us", ofDevice(func(d *micro.Device) float64 { return us(d.SumNs) })},
	{"profiler_ratio", ofDevice(func(d *micro.Device) float64 { return d.ProfilerRatio })},
	{"bytes_per_s", ofRoofline(func(r *micro.Roofline) *float64 { return whole(&r.BytesPerS) })},
	{"copy_frac", ofRoofline(func(r *micro.Roofline) *float64 { return frac(r.CopyFrac) })},
	{"flop_per_s", ofRoofline(func(r *micro.Roofline) *float64 { return whole(&r.FLOPPerS) })},
	{"matmul_frac", ofRoofline(func(r *micro.Roofline) *float64 { return frac(r.MatmulFrac) })},
	{"graph_mode", func(r *row, _ *micro.CellResult) string {
		if r.GraphMode == nil {
			return ""
		}
		return *r.GraphMode
	}},
	{"padded_tokens", func(r *row, _ *micro.CellResult) string {
		if r.PaddedTokens == nil {
			return ""
		}
		return strconv.Itoa(*r.PaddedTokens)
	}},
	{"tokens_per_s", number(func(r *row) *float64 { return r.TokensPerS })},
	{"top", func(r *row, _ *micro.CellResult) string { return topText(r.Top) }},
	{"flags", func(r *row, _ *micro.CellResult) string { return strings.Join(r.Flags, "; ") }},
}

// topText is the list as JSON.
func topText(list []top) string {
	if len(list) == 0 {
		return ""
	}
	var b strings.Builder
	if err := encoder(&b).Encode(list); err != nil {
		return "" // names and finite numbers always encode
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// table writes a header and a row per cell.
func table(w io.Writer, res *micro.Results) error {
	out := csv.NewWriter(w)
	header := make([]string, len(columns))
	for i, c := range columns {
		header[i] = c.name
	}
	if err := out.Write(header); err != nil {
		return err
	}
	for i, r := range rows(res) {
		var cell *micro.CellResult
		if i < len(res.Cells) {
			cell = &res.Cells[i]
		}
		line := make([]string, len(columns))
		for k, c := range columns {
			line[k] = c.value(&r, cell)
		}
		if err := out.Write(line); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}
