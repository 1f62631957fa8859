package engine

// Script is a fixed program of steps, executed on the engine's thread without
// a word in between: how shapes are measured.
type Script struct {
	Ops []Op
	// KeepTokens returns each request's output token ids in its result.
	KeepTokens bool
}

// Op submits requests, runs a number of steps, then ends what it should end.
type Op struct {
	Submit []Request // queued before the first step
	Steps  int       // calls of LLMEngine.step
	Limits Limits    // of each of these steps
	Abort  bool      // afterwards, end every request in flight
	// Profile runs the steps under the profiler and reports what ran. The wall
	// times of such steps are the profiler's, not the engine's.
	Profile bool
	// Events adds to the profile each kernel or op on its own, for a trace of a
	// few steps: a burst that is only summed stays cheap without.
	Events bool
	// Collect runs Python's garbage collector afterwards. It is off during a
	// script, so that no step pays for the garbage of others.
	Collect bool
}

// Profile is what ran during a profiled Op.
type Profile struct {
	Op    int    `json:"op"`
	Steps int    `json:"steps"`
	Unit  string `json:"unit"` // "kernel" on a GPU, "op" on a CPU

	Rows []ProfileRow `json:"rows"` // by descending SelfNs
	// SumNs is the sum of the rows without copies and sets.
	SumNs int64 `json:"sum_ns"`
	// BusyNs is the union of their intervals, clipped to the steps.
	BusyNs int64 `json:"busy_ns"`
	// GapNs is the sum of the gaps between kernels inside the steps. With BusyNs
	// it adds up to the steps' wall time under the profiler, which is longer than
	// without.
	GapNs int64 `json:"gap_ns"`
	// CollectiveNs is the self time of the kernels or ops by which ranks exchange
	// data. It includes waiting for the slowest.
	CollectiveNs int64 `json:"collective_ns,omitempty"`
	// Ranks are the sums of each rank, where ranks are processes of their own; the
	// rest of the profile is that of the rank with most work besides collectives.
	Ranks []RankProfile `json:"ranks,omitempty"`
	// UnassignedNs started outside every step.
	UnassignedNs int64 `json:"unassigned_ns"`

	Events []ProfileEvent `json:"events,omitempty"` // if asked for, in order
}

// RankProfile are the sums of one rank's Profile.
type RankProfile struct {
	Rank         int   `json:"rank"`
	SumNs        int64 `json:"sum_ns"`
	BusyNs       int64 `json:"busy_ns"`
	CollectiveNs int64 `json:"collective_ns"`
}

// ProfileEvent is one run of a kernel or op, on CLOCK_MONOTONIC.
type ProfileEvent struct {
	Name       string `json:"name"`
	Track      string `json:"track"` // device and stream, or thread
	StartNs    int64  `json:"start_ns"`
	DurationNs int64  `json:"duration_ns"`
}

// ProfileRow is one kernel or op, summed over the steps of an Op.
type ProfileRow struct {
	Name   string `json:"name"`
	Calls  int64  `json:"calls"`
	SelfNs int64  `json:"self_ns"` // without the ops it called
	// MedianNs is the median self time of a call.
	MedianNs int64 `json:"median_ns"`
	// TypicalNs is the self time per step with disturbed calls left out: the sum
	// over its places in the step of the median over steps.
	TypicalNs int64 `json:"typical_ns"`
	// Copy marks memory copies and sets, which SumNs leaves out.
	Copy bool `json:"copy"`
}
