package bottleneck

import (
	"testing"

	"stepbench/engine"
)

// step of the given work that took wall ns.
func step(ctx, gen int32, wall int64) *engine.Step {
	s := &engine.Step{CtxTokens: ctx, GenReqs: gen, GenTokens: gen, ReturnNs: wall}
	if ctx > 0 {
		s.CtxReqs = 1
	}
	return s
}

var measured = &Attribution{Unit: "kernel", Buckets: []Bucket{
	{CtxTokens: 0, GenReqs: 8, WallNs: 1000, BusyNs: 600},
	{CtxTokens: 0, GenReqs: 2, WallNs: 800, BusyNs: 400},
	{CtxTokens: 100, GenReqs: 0, WallNs: 1500, BusyNs: 1000},
	{CtxTokens: 300, GenReqs: 0, WallNs: 3200, BusyNs: 3000},
	{CtxTokens: 100, GenReqs: 4, WallNs: 2000, BusyNs: 1500},
}}

func TestBusyNs(t *testing.T) {
	padded := step(0, 5, 900)
	padded.PaddedTokens = 8
	chunk := step(100, 0, 1500)
	chunk.PaddedTokens = 300 // of tokens, not of requests
	tests := []struct {
		name string
		of   *Attribution
		step *engine.Step
		want float64
		near bool
	}{
		{"a bucket's own shape", measured, step(0, 8, 1000), 600, true},
		{"between two batches", measured, step(0, 5, 1000), 500, true},
		{"by its padded size", measured, padded, 600, true},
		{"never more than the wall", measured, step(0, 8, 500), 500, true},
		{"little above the largest: its share", measured, step(0, 10, 1200), 720, true},
		{"far above", measured, step(0, 11, 1200), 0, false},
		{"far below", measured, step(0, 1, 700), 0, false},
		{"a prompt", measured, step(100, 0, 1500), 1000, true},
		{"a padded prompt", measured, chunk, 1000, true},
		{"between two prompts", measured, step(200, 0, 2500), 2000, true},
		{"a little shorter prompt", measured, step(80, 0, 1200), 800, true},
		{"a long prompt", measured, step(400, 0, 5000), 0, false},
		{"mixed, near", measured, step(110, 4, 2200), 1650, true},
		{"mixed, between others by all tokens", measured, step(182, 20, 2500), 2250, true}, // half-way from 104 to 300
		{"mixed, far from all", measured, step(1000, 20, 9000), 0, false},
		{"empty", measured, step(0, 0, 50), 0, true},
		{"no buckets", &Attribution{}, step(0, 8, 1000), 0, false},
		{"no attribution", nil, step(0, 8, 1000), 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, near := tt.of.BusyNs(tt.step)
			if near != tt.near || near && (got < tt.want-1e-9 || got > tt.want+1e-9) {
				t.Errorf("busy %g, near %v, want %g, %v", got, near, tt.want, tt.near)
			}
		})
	}
}
