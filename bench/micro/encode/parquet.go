package encode

import (
	"fmt"
	"io"
	"strconv"

	"stepbench/bench/micro"
	"stepbench/internal/parquetfile"
)

// stepRow is a row of the Parquet table of single steps.
type stepRow struct {
	Cell    string `parquet:"cell,dict" unit:"batch, with -c and its chunk"`
	Phase   string `parquet:"phase,dict" unit:"prefill, decode or mixed"`
	Stage   string `parquet:"stage,dict" unit:"warm-up, timing, attribution or trace"`
	Round   int32  `parquet:"round" unit:"round; in attribution the burst, 0 not counted"`
	Op      int32  `parquet:"op" unit:"op of its script"`
	Role    string `parquet:"role,dict" unit:"setup, settle, measure or cleanup"`
	Kept    bool   `parquet:"kept" unit:"counts"`
	Discard string `parquet:"discard,optional,dict" unit:"why a measured step does not count"`

	Index    int64 `parquet:"index" unit:"step of its script"`
	EnterNs  int64 `parquet:"enter_ns" unit:"ns, CLOCK_MONOTONIC"`
	GILNs    int64 `parquet:"gil_ns" unit:"ns, CLOCK_MONOTONIC"`
	CallNs   int64 `parquet:"call_ns" unit:"ns, CLOCK_MONOTONIC"`
	ReturnNs int64 `parquet:"return_ns" unit:"ns, CLOCK_MONOTONIC"`
	ExitNs   int64 `parquet:"exit_ns" unit:"ns, CLOCK_MONOTONIC"`

	WallNs        int64 `parquet:"wall_ns" unit:"ns"`
	ScheduleNs    int64 `parquet:"schedule_ns" unit:"ns"`
	ExecuteNs     int64 `parquet:"execute_ns" unit:"ns"`
	SampleNs      int64 `parquet:"sample_ns" unit:"ns"`
	UpdateNs      int64 `parquet:"update_ns" unit:"ns"`
	OutputNs      int64 `parquet:"output_ns" unit:"ns"`
	StatsNs       int64 `parquet:"stats_ns" unit:"ns"`
	CoreNs        int64 `parquet:"core_ns" unit:"ns"`
	UnaccountedNs int64 `parquet:"unaccounted_ns" unit:"ns"`
	BridgeNs      int64 `parquet:"bridge_ns" unit:"ns"`

	CtxReqs          int32   `parquet:"ctx_reqs" unit:"requests"`
	CtxTokens        int32   `parquet:"ctx_tokens" unit:"tokens"`
	GenReqs          int32   `parquet:"gen_reqs" unit:"requests"`
	PlannedCtxReqs   int32   `parquet:"planned_ctx_reqs" unit:"requests"`
	PlannedCtxTokens int32   `parquet:"planned_ctx_tokens" unit:"tokens"`
	PlannedGenReqs   int32   `parquet:"planned_gen_reqs" unit:"requests"`
	Running          int32   `parquet:"running" unit:"requests"`
	Waiting          int32   `parquet:"waiting" unit:"requests"`
	Preempted        int32   `parquet:"preempted" unit:"requests"`
	NewTokens        int32   `parquet:"new_tokens" unit:"tokens"`
	TokenBudget      int32   `parquet:"token_budget" unit:"tokens"`
	SeqBudget        int32   `parquet:"seq_budget" unit:"requests"`
	KVUsageFrac      float64 `parquet:"kv_usage_frac" unit:"0..1"`
	GraphMode        string  `parquet:"graph_mode,optional,dict" unit:"NONE, PIECEWISE or FULL; absent: not known"`
	PaddedTokens     int32   `parquet:"padded_tokens" unit:"tokens the model ran on, 0: not known"`
}

func newStepRow(s *micro.StepRecord, phase micro.Phase) stepRow {
	return stepRow{
		Cell: s.Cell, Phase: string(phase), Stage: string(s.Stage), Round: int32(s.Round), Op: s.Op, Role: string(s.Role),
		Kept: s.Counts(), Discard: s.Discard,
		Index: s.Index, EnterNs: s.EnterNs, GILNs: s.GILNs, CallNs: s.CallNs, ReturnNs: s.ReturnNs, ExitNs: s.ExitNs,
		WallNs: s.WallNs(), ScheduleNs: s.ScheduleNs, ExecuteNs: s.ExecuteNs, SampleNs: s.SampleNs,
		UpdateNs: s.UpdateNs, OutputNs: s.OutputNs, StatsNs: s.StatsNs, CoreNs: s.CoreNs,
		UnaccountedNs: s.UnaccountedNs(), BridgeNs: s.BridgeNs,
		CtxReqs: s.CtxReqs, CtxTokens: s.CtxTokens, GenReqs: s.GenReqs,
		PlannedCtxReqs: s.Planned.CtxReqs, PlannedCtxTokens: s.Planned.CtxTokens, PlannedGenReqs: s.Planned.GenReqs,
		Running: s.Running, Waiting: s.Waiting, Preempted: s.Preempted, NewTokens: s.NewTokens,
		TokenBudget: s.TokenBudget, SeqBudget: s.SeqBudget, KVUsageFrac: s.KVUsageFrac,
		GraphMode: s.GraphMode.String(), PaddedTokens: s.PaddedTokens,
	}
}

// Steps writes every single step that ran, kept or not, as Parquet.
func Steps(w io.Writer, res *micro.Results) error {
	phases := map[string]micro.Phase{}
	for _, c := range res.Cells {
		phases[c.Cell.Name()] = c.Cell.Phase()
	}
	out := make([]stepRow, len(res.Steps))
	for i := range res.Steps {
		out[i] = newStepRow(&res.Steps[i], phases[res.Steps[i].Cell])
	}
	if err := writeParquet(w, out); err != nil {
		return fmt.Errorf("write steps: %w", err)
	}
	return nil
}

// cellRow is a row of the Parquet table of cells.
type cellRow struct {
	Name    string `parquet:"name" unit:"batch, with -c and its chunk"`
	Model   string `parquet:"model,dict" unit:"name"`
	Phase   string `parquet:"phase,dict" unit:"prefill, decode or mixed"`
	Batch   int32  `parquet:"batch" unit:"requests"`
	Context int32  `parquet:"context" unit:"tokens"`
	Chunk   int32  `parquet:"chunk" unit:"prompt tokens a step, 0: whole prompts"`

	Steps         int32 `parquet:"steps" unit:"steps"`
	Discarded     int32 `parquet:"discarded" unit:"steps"`
	DroppedRounds int32 `parquet:"dropped_rounds" unit:"rounds before a change of level, not in rounds"`
	DroppedSteps  int32 `parquet:"dropped_steps" unit:"steps of them, not in steps"`
	ContextMin    int32 `parquet:"context_min" unit:"tokens"`
	ContextMax    int32 `parquet:"context_max" unit:"tokens"`
	Rounds        int32 `parquet:"rounds" unit:"rounds"`
	Valid         bool  `parquet:"valid" unit:"at most a tenth of the steps discarded"`

	WallUs            *float64 `parquet:"wall_us_median" unit:"us"`
	WallP10Us         *float64 `parquet:"wall_us_p10" unit:"us"`
	WallP90Us         *float64 `parquet:"wall_us_p90" unit:"us"`
	WallLoUs          *float64 `parquet:"wall_us_ci95_lo" unit:"us"`
	WallHiUs          *float64 `parquet:"wall_us_ci95_hi" unit:"us"`
	ScheduleUs        *float64 `parquet:"schedule_us" unit:"us"`
	ExecuteUs         *float64 `parquet:"execute_us" unit:"us"`
	SampleUs          *float64 `parquet:"sample_us" unit:"us"`
	UpdateUs          *float64 `parquet:"update_us" unit:"us"`
	OutputUs          *float64 `parquet:"output_us" unit:"us"`
	StatsUs           *float64 `parquet:"stats_us" unit:"us"`
	CoreUs            *float64 `parquet:"core_us" unit:"us"`
	UnaccountedUs     *float64 `parquet:"unaccounted_us" unit:"us"`
	BridgeUs          *float64 `parquet:"bridge_us" unit:"us"`
	DeviceBusyUs      *float64 `parquet:"device_busy_us" unit:"us"`
	DeviceIdleUs      *float64 `parquet:"device_idle_us" unit:"us"`
	IdleGapUs         *float64 `parquet:"idle_gap_us" unit:"us"`
	IdleGapProfiledUs *float64 `parquet:"idle_gap_profiled_us" unit:"us"`
	IdleFromWallUs    *float64 `parquet:"idle_from_wall_us" unit:"us"`
	TokensPerS        *float64 `parquet:"tokens_per_s" unit:"query tokens a second"`
	GraphMode         *string  `parquet:"graph_mode" unit:"NONE, PIECEWISE, FULL or several joined by +"`
	PaddedTokens      *int64   `parquet:"padded_tokens" unit:"tokens"`
	BytesPerS         *float64 `parquet:"bytes_per_s" unit:"bytes a second of busy time"`
	FLOPPerS          *float64 `parquet:"flop_per_s" unit:"FLOP a second of busy time"`

	Flags []string `parquet:"flags,list" unit:"text"`
}

// cells writes a row per cell.
func cells(w io.Writer, res *micro.Results) error {
	var out []cellRow
	for i, r := range rows(res) {
		c := cellRow{
			Model: r.Model, Phase: r.Phase, Batch: int32(r.Batch), Context: int32(r.Context), Chunk: int32(r.Chunk),
			Steps: int32(r.Steps), Discarded: int32(r.Discarded),
			ScheduleUs: r.ScheduleUs, ExecuteUs: r.ExecuteUs, SampleUs: r.SampleUs, UpdateUs: r.UpdateUs,
			DroppedRounds: int32(r.DroppedRounds), DroppedSteps: int32(r.DroppedSteps),
			OutputUs: r.OutputUs, StatsUs: r.StatsUs, CoreUs: r.CoreUs, UnaccountedUs: r.UnaccountedUs, BridgeUs: r.BridgeUs,
			DeviceBusyUs: r.DeviceBusyUs, DeviceIdleUs: r.DeviceIdleUs, IdleGapUs: r.IdleGapUs, IdleGapProfiledUs: r.IdleGapProfiledUs,
			GraphMode: r.GraphMode, TokensPerS: r.TokensPerS, Flags: r.Flags,
		}
		if w := r.WallUs; w != nil {
			c.WallUs, c.WallP10Us, c.WallP90Us = &w.Median, &w.P10, &w.P90
			c.WallLoUs, c.WallHiUs = end(w, 0), end(w, 1)
		}
		if r.IdleCheck != nil {
			c.IdleFromWallUs = &r.IdleCheck.FromWallUs
		}
		if r.PaddedTokens != nil {
			n := int64(*r.PaddedTokens)
			c.PaddedTokens = &n
		}
		if i < len(res.Cells) {
			m := &res.Cells[i]
			c.Name, c.Valid, c.Rounds = m.Cell.Name(), m.Valid, int32(len(m.Rounds))
			c.ContextMin, c.ContextMax = int32(m.ContextMin), int32(m.ContextMax)
			if m.Roofline != nil {
				c.BytesPerS, c.FLOPPerS = &m.Roofline.BytesPerS, &m.Roofline.FLOPPerS
			}
		} else {
			c.Name = res.Refused[i-len(res.Cells)].Cell.Name()
		}
		out = append(out, c)
	}
	return writeParquet(w, out)
}

// writeParquet writes rows with their units.
func writeParquet[T any](w io.Writer, rows []T) error {
	return parquetfile.Write(w, rows, map[string]string{"schema_version": strconv.Itoa(micro.SchemaVersion), "method": micro.Method})
}
