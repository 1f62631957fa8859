package micro

import (
	"testing"

	"stepbench/engine"
)

var llamaShape = &engine.ModelShape{
	Architecture: "LlamaForCausalLM", Layers: 32, Hidden: 4096, Intermediate: 11008, Heads: 32, KVHeads: 32, HeadDim: 128,
	Vocab: 32000, MaxPositions: 4096, Parameters: 6_738_415_616,
}

func TestParameters(t *testing.T) {
	tests := []struct {
		name         string
		shape        *engine.ModelShape
		linear, read int64
		kv           int64 // elements a token
	}{
		{"gpt2: tied, learned positions", gpt2Shape, 12 * 12 * 768 * 768, 124_439_808 - 1024*768, 2 * 12 * 768},
		{"llama: two embeddings", llamaShape, 32 * (4*4096*4096 + 3*4096*11008), 6_738_415_616 - 32000*4096, 2 * 32 * 4096},
		{"grouped queries, tied", &engine.ModelShape{
			Architecture: "LlamaForCausalLM", Layers: 30, Hidden: 576, Intermediate: 1536, Heads: 9, KVHeads: 3, HeadDim: 64,
			Vocab: 49152, MaxPositions: 8192, Parameters: 134_515_008,
		}, 30 * (2*576*576 + 2*576*192 + 3*576*1536), 134_515_008, 2 * 30 * 192},
	}
	for _, tt := range tests {
		if got := tt.shape.LinearParameters(); got != tt.linear {
			t.Errorf("%s: %d parameters in matrices, want %d", tt.name, got, tt.linear)
		}
		if got := tt.shape.ReadParameters(); got != tt.read {
			t.Errorf("%s: %d parameters read, want %d", tt.name, got, tt.read)
		}
		if got := tt.shape.KVElements(); got != tt.kv {
			t.Errorf("%s: %d elements a token, want %d", tt.name, got, tt.kv)
		}
	}
}

func TestCost(t *testing.T) {
	tests := []struct {
		name string
		q    sequence // after the step
		n    int
		want cost
	}{
		{"prompt of 3", sequence{prompt: 3, computed: 3}, 3, cost{tokens: 3, rows: 1, attended: 1 + 2 + 3, cached: 3}},
		{"first chunk of 2 of 5", sequence{prompt: 5, computed: 2}, 2, cost{tokens: 2, attended: 1 + 2, cached: 2}},
		{"last chunk of 3 of 5", sequence{prompt: 5, computed: 5}, 3, cost{tokens: 3, rows: 1, attended: 3 + 4 + 5, cached: 5}},
		{"decode", sequence{prompt: 5, outputs: 2, computed: 7}, 1, cost{tokens: 1, rows: 1, attended: 7, cached: 7}},
	}
	for _, tt := range tests {
		var c cost
		c.add(&tt.q, tt.n)
		if c != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, c, tt.want)
		}
	}
	// The forward pass of a prompt costs about 2 FLOP a parameter and token; the
	// embedding costs none, attention some.
	c := cost{tokens: 512, rows: 512, attended: 512 * 513 / 2}
	if got := c.flop(llamaShape) / (2 * 512 * float64(llamaShape.Parameters)); got < 0.98 || got > 1.02 {
		t.Errorf("prompt of 512 costs %.3f times 2PT", got)
	}
	if _, ok := engine.ElementBytes("fp8_e4m3"); ok {
		t.Errorf("a quantised dtype has a size")
	}
}
