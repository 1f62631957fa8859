package bridge

import (
	"fmt"
	"unsafe"

	"github.com/ebitengine/purego"
)

// Batch is requests to submit, packed. Request i has the tokens
// Tokens[Offsets[i]:Offsets[i+1]] and the parameters ParamsJSON[Params[i]].
type Batch struct {
	IDs        []int64
	Offsets    []int64 // len(IDs) + 1
	Tokens     []int32
	Params     []int32
	Arrivals   []float64 // wall clock, seconds
	ParamsJSON []byte    // a JSON array of objects
}

// Submit queues the batch in order and returns how many were taken. With a
// *PythonError the request at that index was refused; those after it were not
// tried.
func (l *Library) Submit(b Batch) (accepted int, err error) {
	n := len(b.IDs)
	if len(b.Offsets) != n+1 || len(b.Params) != n || len(b.Arrivals) != n {
		return 0, fmt.Errorf("submit: %d ids with %d offsets, %d params, %d arrivals",
			n, len(b.Offsets), len(b.Params), len(b.Arrivals))
	}
	if err := b.checkOffsets(); err != nil {
		return 0, err
	}
	if n == 0 {
		return 0, nil
	}
	params, err := cString(string(b.ParamsJSON))
	if err != nil {
		return 0, err
	}
	var taken int64
	code := l.submit(&cBatch{
		count: int64(n), ids: &b.IDs[0], offsets: &b.Offsets[0], tokens: unsafe.SliceData(b.Tokens),
		params: &b.Params[0], arrivals: &b.Arrivals[0], paramsJSON: params,
	}, &taken)
	return int(taken), l.check(code)
}

// checkOffsets refuses what would make the shim read past Tokens, or take
// parameters from the end of the array.
func (b Batch) checkOffsets() error {
	from := int64(0)
	for i, to := range b.Offsets {
		if to < from || to > int64(len(b.Tokens)) {
			return fmt.Errorf("submit: offset %d is %d, outside %d..%d", i, to, from, len(b.Tokens))
		}
		from = to
	}
	for i, p := range b.Params {
		if p < 0 {
			return fmt.Errorf("submit: request %d has the parameter index %d", b.IDs[i], p)
		}
	}
	return nil
}

// View is one step as the shim saw it. Times are CLOCK_MONOTONIC ns. The slices
// are the shim's memory, valid until the next-but-one Step.
type View struct {
	EnterNs, GILNs, CallNs, ReturnNs, ExitNs int64

	Outputs  []Output
	Tokens   []int32
	Stats    []float64       // rows of StatsWidth
	Counters [Counters]int64 // a copy
}

// Step runs one step of the engine under the given limits (0: the engine's
// own) and fills v. It allocates nothing.
func (l *Library) Step(tokenLimit, seqLimit int64, v *View) error {
	// The arguments as a slice of l: listed singly, they would be allocated. The
	// address stays good because a Library is never on a stack, which can move.
	l.stepArgs = [3]uintptr{uintptr(tokenLimit), uintptr(seqLimit), uintptr(unsafe.Pointer(&l.view))}
	code, _, _ := purego.SyscallN(l.step, l.stepArgs[:]...)
	if err := l.check(int32(code)); err != nil {
		return err
	}
	c := &l.view
	v.EnterNs, v.GILNs, v.CallNs, v.ReturnNs, v.ExitNs = c.enterNs, c.gilNs, c.callNs, c.returnNs, c.exitNs
	v.Outputs = unsafe.Slice(c.outputs, c.outputCount)
	v.Tokens = unsafe.Slice(c.tokens, c.tokenCount)
	v.Stats = unsafe.Slice(c.stats, c.statsCount*StatsWidth)
	v.Counters = c.counters
	return nil
}
