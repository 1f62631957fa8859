package micro

import (
	"testing"

	"stepbench/engine"
)

func TestGraphs(t *testing.T) {
	const none, piecewise, full = engine.GraphNone, engine.GraphPiecewise, engine.GraphFull
	prefillOf := func(n int32, m engine.GraphMode) engine.Step {
		return engine.Step{CtxReqs: 1, CtxTokens: n, GraphMode: m, PaddedTokens: n}
	}
	decodeOf := func(n int32, m engine.GraphMode) engine.Step {
		return engine.Step{GenReqs: n, GenTokens: n, GraphMode: m, PaddedTokens: (n + 7) / 8 * 8}
	}
	tests := []struct {
		name   string
		opened string
		steps  []engine.Step
		mode   string
		padded int
		misses int
	}{
		{"replayed", "FULL", []engine.Step{decodeOf(5, full), decodeOf(5, full)}, "FULL", 8, 0},
		{"missed", "FULL", []engine.Step{decodeOf(5, full), decodeOf(5, none)}, "NONE+FULL", 8, 1},
		{"both kinds", "FULL_AND_PIECEWISE", []engine.Step{decodeOf(5, full), prefillOf(64, piecewise)}, "PIECEWISE+FULL", 64, 0},
		{"a prompt too large for any graph", "FULL_AND_PIECEWISE", []engine.Step{prefillOf(513, none)}, "NONE", 513, 0},
		{"a prompt that would fit", "PIECEWISE", []engine.Step{prefillOf(512, none)}, "NONE", 512, 1},
		{"graphs for decodes only", "FULL_DECODE_ONLY", []engine.Step{prefillOf(64, none), decodeOf(4, none)}, "NONE", 64, 1},
		{"no graphs", "NONE", []engine.Step{decodeOf(4, none)}, "NONE", 8, 0},
		{"not known", "FULL", []engine.Step{{GenReqs: 4, GenTokens: 4}}, "", 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var steps []StepRecord
			for _, s := range tt.steps {
				steps = append(steps, StepRecord{Step: s})
			}
			mode, padded, misses := graphs(steps, engine.Info{GraphMode: tt.opened, MaxGraphTokens: 512})
			if mode != tt.mode || padded != tt.padded || misses != tt.misses {
				t.Errorf("%q on %d tokens, %d misses; want %q on %d, %d", mode, padded, misses, tt.mode, tt.padded, tt.misses)
			}
		})
	}
}
