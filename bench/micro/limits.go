package micro

import (
	"fmt"

	"stepbench/engine"
)

// Limits are what an engine can run. 0 means not known yet, and not checked.
type Limits struct {
	Positions int // tokens of a sequence, its output included
	Tokens    int // of a step
	Seqs      int // of a step
	KVTokens  int // of the KV cache
	KVFrom    KVSource
	KVBlock   int // tokens of one of its blocks
}

// KVSource is who chose the size of the KV cache, for refusals.
type KVSource int

const (
	KVFlag    KVSource = iota // the user, by a flag
	KVDefault                 // this program
	KVEngine                  // vLLM, by the memory it found
)

// Flags that set the limits, named in refusals.
const (
	flagPositions = "--max-model-len"
	flagTokens    = "--token-budget"
	flagSeqs      = "--seq-budget"
	flagKV        = "--kv-cache-mib"
)

// ConfigLimits are the limits that a configuration implies before an engine is
// open. The KV cache is taken for as large as it could be: elements of 2 bytes
// unless the configuration says 4, no block cut off.
func ConfigLimits(cfg engine.Config) Limits {
	l := Limits{Positions: cfg.MaxModelLen, Tokens: cfg.MaxNumBatchedTokens, Seqs: cfg.MaxNumSeqs}
	shape := cfg.Model.Shape
	if shape == nil {
		return l
	}
	if l.Positions == 0 {
		l.Positions = shape.MaxPositions
	}
	if cfg.KVCacheBytes > 0 {
		bytes := 2
		if cfg.DType == "float32" {
			bytes = 4
		}
		l.KVTokens = int(cfg.KVCacheBytes / (shape.KVElements() * int64(bytes)))
	}
	return l
}

// InfoLimits are the limits of an open engine. One block of the cache stands
// for padding and holds no tokens (null_block in vllm/v1/core/block_pool.py).
func InfoLimits(info engine.Info) Limits {
	return Limits{
		Positions: info.MaxModelLen, Tokens: info.MaxNumBatchedTokens, Seqs: info.MaxNumSeqs,
		KVTokens: max(0, info.KVBlocks-1) * info.KVBlockSize, KVBlock: info.KVBlockSize,
	}
}

// Needs are the smallest limits under which all cells run, for an engine that
// is opened for them.
func Needs(cells []Cell) Limits {
	var n Limits
	for _, c := range cells {
		n.Positions = max(n.Positions, c.positions())
		n.Tokens = max(n.Tokens, c.stepTokens())
		n.Seqs = max(n.Seqs, c.requests())
		n.KVTokens = max(n.KVTokens, c.kvTokens(n.Positions, 1))
	}
	return n
}

// Refusal is a cell that cannot run, and why.
type Refusal struct {
	Cell   Cell
	Reason string // names the flag and the limit
}

// Error names the cell as it was given, and the reason.
func (r Refusal) Error() string {
	a := r.Cell.Axes()
	given := "--phase " + string(a.Phase) + fmt.Sprintf(" --batch %d --context %d", a.Batch, a.Context)
	switch {
	case !r.Cell.fromAxes:
		given = "shape " + r.Cell.Name()
	case a.Chunk > 0 && (a.Phase != Mixed || a.Chunk != a.Context):
		given += fmt.Sprintf(" --chunk %d", a.Chunk)
	}
	return given + ": " + r.Reason
}

// Check parts the cells that can run under l from those that cannot.
func Check(cells []Cell, l Limits) (runnable []Cell, refused []Refusal) {
	for _, c := range cells {
		if reason := c.impossible(l); reason != "" {
			refused = append(refused, Refusal{c, reason})
			continue
		}
		runnable = append(runnable, c)
	}
	return runnable, refused
}

// impossible says why c cannot run under l, empty if it can.
func (c Cell) impossible(l Limits) string {
	if n := c.Batch.count(extend); n > 1 || n > 0 && c.Chunk > 0 {
		return fmt.Sprintf("%d prompts would be continued in one step: vLLM gives a running prompt all of its rest before the next, so at most one can be, without --chunk", n)
	}
	if c.Chunk > c.Batch.queryTokens() {
		return fmt.Sprintf("its prompts have %d tokens, none makes a chunk of --chunk %d", c.Batch.queryTokens(), c.Chunk)
	}
	if over(c.positions(), l.Positions) {
		return fmt.Sprintf("beyond the %d positions of the model or %s: at most %s leaves room for its steps", l.Positions, flagPositions, c.longest(l.Positions))
	}
	if c.decodes() && c.window(l.Positions) < minWindow {
		return fmt.Sprintf("too short for %d steps before its context: at least %d", settleSteps, shortestDecode)
	}
	if over(c.requests(), l.Seqs) {
		return fmt.Sprintf("%d requests in a step, %s allows %d", c.requests(), flagSeqs, l.Seqs)
	}
	if over(c.stepTokens(), l.Tokens) {
		return fmt.Sprintf("%d tokens in a step, %s allows %d: raise it, or give --chunk", c.stepTokens(), flagTokens, l.Tokens)
	}
	if n := c.kvTokens(l.Positions, max(1, l.KVBlock)); over(n, l.KVTokens) {
		return fmt.Sprintf("needs %d tokens of KV cache, %s", n, l.kv())
	}
	return ""
}

// kv says how large the KV cache is, and whose choice that is.
func (l Limits) kv() string {
	switch l.KVFrom {
	case KVDefault:
		return fmt.Sprintf("the default gives %d (raise with %s)", l.KVTokens, flagKV)
	case KVEngine:
		return fmt.Sprintf("vLLM chose %d (raise with %s)", l.KVTokens, flagKV)
	default:
		return fmt.Sprintf("%s gives %d", flagKV, l.KVTokens)
	}
}

// over says that n is beyond a known limit.
func over(n, limit int) bool { return limit > 0 && n > limit }

// stepTokens is the largest number of tokens in a step of c.
func (c Cell) stepTokens() int {
	if c.Chunk > 0 {
		return c.Chunk
	}
	return c.Batch.queryTokens()
}
