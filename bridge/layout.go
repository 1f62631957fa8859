package bridge

import "unsafe"

// Sizes of the ABI, as in csrc/include/stepbench.h.
const (
	abiVersion = 1
	Counters   = 24 // int64 cells that the adapter fills for each step
	StatsWidth = 10 // doubles for each ended request
)

// cError mirrors sb_error.
type cError struct {
	kind, message, traceback *byte
}

// cStartOptions mirrors sb_start_options.
type cStartOptions struct {
	program, modulePath, module *byte
}

// cBatch mirrors sb_batch.
type cBatch struct {
	count      int64
	ids        *int64
	offsets    *int64
	tokens     *int32
	params     *int32
	arrivals   *float64
	paramsJSON *byte
}

// Output mirrors sb_output: what one request got from one step.
type Output struct {
	ID       int64
	TokenOff int32 // index of its first new token in View.Tokens
	TokenLen int32
	Finish   int32 // SB_UNFINISHED … SB_FAILED
	Stats    int32 // row of View.Stats, or -1
}

// cView mirrors sb_view.
type cView struct {
	enterNs, gilNs, callNs, returnNs, exitNs int64
	outputCount, tokenCount, statsCount      int64
	outputs                                  *Output
	tokens                                   *int32
	stats                                    *float64
	counters                                 [Counters]int64
}

// layout lists the sizes and offsets in the order of csrc/src/abi.c.
func layout() []int64 {
	var (
		e cError
		s cStartOptions
		b cBatch
		o Output
		v cView
	)
	words := []uintptr{
		abiVersion, Counters, StatsWidth,
		unsafe.Sizeof(e), unsafe.Offsetof(e.kind), unsafe.Offsetof(e.message), unsafe.Offsetof(e.traceback),
		unsafe.Sizeof(s), unsafe.Offsetof(s.program), unsafe.Offsetof(s.modulePath), unsafe.Offsetof(s.module),
		unsafe.Sizeof(b), unsafe.Offsetof(b.count), unsafe.Offsetof(b.ids), unsafe.Offsetof(b.offsets),
		unsafe.Offsetof(b.tokens), unsafe.Offsetof(b.params), unsafe.Offsetof(b.arrivals), unsafe.Offsetof(b.paramsJSON),
		unsafe.Sizeof(o), unsafe.Offsetof(o.ID), unsafe.Offsetof(o.TokenOff), unsafe.Offsetof(o.TokenLen),
		unsafe.Offsetof(o.Finish), unsafe.Offsetof(o.Stats),
		unsafe.Sizeof(v), unsafe.Offsetof(v.enterNs), unsafe.Offsetof(v.gilNs), unsafe.Offsetof(v.callNs),
		unsafe.Offsetof(v.returnNs), unsafe.Offsetof(v.exitNs), unsafe.Offsetof(v.outputCount),
		unsafe.Offsetof(v.tokenCount), unsafe.Offsetof(v.statsCount), unsafe.Offsetof(v.outputs),
		unsafe.Offsetof(v.tokens), unsafe.Offsetof(v.stats), unsafe.Offsetof(v.counters),
	}
	out := make([]int64, len(words))
	for i, w := range words {
		out[i] = int64(w)
	}
	return out
}
