package micro

import (
	"strings"

	"stepbench/engine"
)

// graphs says how steps launched their kernels, and how many of them ran without
// a graph although the engine has one that holds them.
func graphs(steps []StepRecord, info engine.Info) (mode string, padded, misses int) {
	var seen [engine.GraphFull + 1]bool
	for i := range steps {
		s := &steps[i]
		padded = max(padded, int(s.PaddedTokens))
		if s.GraphMode > engine.GraphUnknown && s.GraphMode <= engine.GraphFull {
			seen[s.GraphMode] = true
		}
		if graphMiss(&s.Step, info) {
			misses++
		}
	}
	var names []string
	for m, is := range seen {
		if is {
			names = append(names, engine.GraphMode(m).String())
		}
	}
	return strings.Join(names, "+"), padded, misses
}

// graphMiss says that s ran without a graph, at a size and of a kind that the
// engine captured graphs for. A mode nobody knows is no miss.
func graphMiss(s *engine.Step, info engine.Info) bool {
	if s.GraphMode != engine.GraphNone || int(s.CtxTokens+s.GenTokens) > info.MaxGraphTokens {
		return false
	}
	switch info.GraphMode {
	case "FULL_DECODE_ONLY":
		return s.CtxTokens == 0
	case "", "NONE":
		return false
	}
	return true // FULL, PIECEWISE and FULL_AND_PIECEWISE hold steps of any kind
}
