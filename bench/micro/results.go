package micro

import (
	"stepbench/bench/stats"
	"stepbench/engine"
)

// SchemaVersion is that of every encoding of Results. Method tells them from
// rows that were measured otherwise, MethodVersion from other definitions.
const (
	Method        = "micro"
	SchemaVersion = 1
	MethodVersion = 2 // 2: idle_gap_us is without what the profiler added
)

// Results are what a run measured.
type Results struct {
	Rules       Rules
	Seed        uint64
	Model       engine.Model
	Info        engine.Info
	Ceilings    Ceilings
	Interrupted bool // cells may lack rounds or attribution
	Cells       []CellResult
	// Refused are cells that were asked for and cannot run; the caller adds
	// them to have them listed.
	Refused []Refusal
	Steps   []StepRecord // all, in the order they ran
	Traced  []Traced     // if asked for
}

// Ceilings are what the device was measured to reach at most.
type Ceilings struct {
	CopyBytesPerS  float64 // of a large copy, bytes read plus bytes written
	MatmulFLOPPerS float64 // of a large matrix product in the model's dtype
}

// CellResult is one cell. Times are in ns per step.
type CellResult struct {
	Cell Cell
	// ContextMin and ContextMax bound the tokens of a sequence after a step:
	// of the decodes, of the prompts where there are none.
	ContextMin, ContextMax int

	Steps     int            // that count
	Settled   int            // planned after each change of the batch, never counted
	Discarded map[string]int // measured steps that do not count, by reason
	Valid     bool           // at most a tenth of them, and rounds to speak of
	Flags     []string       // doubts and conditions, see the constants

	Rounds []Round
	// Dropped rounds at the start came before a change of level; their steps
	// are not among Steps.
	Dropped, DroppedSteps int

	// GraphMode is how the steps launched the model's kernels: vLLM's name of
	// the mode, several joined by "+", empty where it is not known.
	GraphMode string
	// PaddedTokens is the most that a step ran on, 0 where it is not known.
	PaddedTokens int
	// GraphMisses are the steps that a captured graph would have held and that
	// ran without.
	GraphMisses int

	Wall     Wall
	Parts    Parts
	BridgeNs float64 // median of the way into vLLM and back, outside the wall time
	// TokensPerS is the query tokens of a step over its median wall time.
	TokensPerS float64

	Device   *Device   // nil without attribution
	Roofline *Roofline // nil where the model's sizes are not known
}

// Wall is the time inside LLMEngine.step.
type Wall struct {
	MedianNs float64 // over rounds, of their medians
	CI       stats.Interval
	// CIMethod says how the 95 % interval was made: IntervalOrder from order
	// statistics of the rounds, IntervalStudent from fewer than six of them, on
	// their logarithms.
	// Empty if there is none.
	CIMethod string

	P10Ns, P90Ns float64  // of steps
	P99Ns        *float64 // nil for too few steps
	MADNs        float64  // 1.4826 times the median absolute deviation of steps
	Outliers     int      // steps more than 10 MADNs from the median
}

// Methods of intervals.
const (
	IntervalOrder   = "order-statistic"
	IntervalStudent = "student"
)

// Round is the kept steps of one visit to a cell.
type Round struct {
	Index    int
	Steps    int
	MedianNs float64
	Parts    Parts // scaled to MedianNs
	BridgeNs float64
}

// Parts split the wall time. Each is timed on its own; Unaccounted is the rest.
//
// They are the parts' shares of the wall time in the middle half of each
// round's steps, times the median wall time. So they add up to it exactly, and
// a few slow steps do not weigh on the split.
type Parts struct {
	ScheduleNs, ExecuteNs, SampleNs, UpdateNs, OutputNs, StatsNs, CoreNs, UnaccountedNs float64
}

// Roofline compares a step with the arithmetic of its shape: see cost.go for
// the formulas. Rates are over the device's busy time.
type Roofline struct {
	Bytes, FLOP float64 // of a step
	BytesPerS   float64
	FLOPPerS    float64
	CopyFrac    *float64 // of the measured ceilings, nil without
	MatmulFrac  *float64
}

// Flags of a cell.
const (
	FlagInvalid     = "INVALID"     // too many steps discarded, or no rounds
	FlagQuick       = "quick"       // measured under quick rules
	FlagNotSteady   = "not-steady"  // the device did not become steady in time
	FlagUnstable    = "unstable"    // the interval stayed wider than wanted
	FlagDiscarded   = "discarded"   // followed by "=REASON:N"
	FlagUnaccounted = "unaccounted" // the parts miss more than 1 % of the wall time
	FlagHostLimited = "host-limited"
	FlagIdleGap     = "idle-gap" // followed by "=RATIO": the two figures of idle time differ, see IdleCheck
	FlagProfiler    = "profiler" // followed by "=RATIO": steps under the profiler took that much longer or shorter
	FlagUnprofiled  = "unprofiled"
	FlagPrefixCache = "prefix-cache"
	FlagGraphMiss   = "graph-miss"     // followed by "=N": steps without a graph that there was one for
	FlagDropped     = "dropped-rounds" // followed by "=N": rounds before a change of level
	FlagFailed      = "failed"         // followed by ": REASON"
	FlagRefused     = "refused"        // followed by ": REASON"
)
