package preset

import (
	"encoding/json"

	"stepbench/engine"
)

// hfConfig are the keys of config.json that sizes follow from: Llama's names,
// which Mistral and Qwen share, and GPT-2's.
type hfConfig struct {
	Architectures []string `json:"architectures"`
	Vocab         int      `json:"vocab_size"`

	Hidden        int   `json:"hidden_size"`
	Intermediate  int   `json:"intermediate_size"`
	Layers        int   `json:"num_hidden_layers"`
	Heads         int   `json:"num_attention_heads"`
	KVHeads       int   `json:"num_key_value_heads"`
	HeadDim       int   `json:"head_dim"`
	MaxPositions  int   `json:"max_position_embeddings"`
	Tied          *bool `json:"tie_word_embeddings"`
	AttentionBias bool  `json:"attention_bias"`
	MLPBias       bool  `json:"mlp_bias"`

	NEmbd      int `json:"n_embd"`
	NInner     int `json:"n_inner"`
	NLayer     int `json:"n_layer"`
	NHead      int `json:"n_head"`
	NPositions int `json:"n_positions"`
}

// Sizes beyond any model, below which no product overflows.
const (
	widest  = 1 << 20
	deepest = 1 << 14
	longest = 1 << 30
)

// readShape gives the sizes of the model that config.json describes, nil if it
// is of no family known here or a size is missing or absurd. Layouts are those of
// transformers' models/{llama,mistral,qwen2,qwen3,gpt2}/modeling_*.py.
func readShape(config []byte) *engine.ModelShape {
	var c hfConfig
	if json.Unmarshal(config, &c) != nil || len(c.Architectures) == 0 {
		return nil
	}
	s := &engine.ModelShape{
		Architecture: c.Architectures[0],
		Layers:       c.Layers,
		Hidden:       c.Hidden,
		Intermediate: c.Intermediate,
		Heads:        c.Heads,
		KVHeads:      c.KVHeads,
		HeadDim:      c.HeadDim,
		Vocab:        c.Vocab,
		MaxPositions: c.MaxPositions,
	}
	var count func(engine.ModelShape, hfConfig) int64
	switch s.Architecture {
	case "LlamaForCausalLM":
		if s.KVHeads == 0 { // configs older than grouped queries lack it
			s.KVHeads = s.Heads
		}
		count = countLlama
	case "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM":
		count = countLlama
	case "GPT2LMHeadModel":
		s.Layers, s.Hidden, s.Intermediate = c.NLayer, c.NEmbd, c.NInner
		s.Heads, s.KVHeads, s.MaxPositions = c.NHead, c.NHead, c.NPositions
		if s.Intermediate == 0 {
			s.Intermediate = 4 * s.Hidden
		}
		count = countGPT2
	default:
		return nil
	}
	if s.HeadDim == 0 && s.Heads > 0 {
		s.HeadDim = s.Hidden / s.Heads
	}
	if min(s.Layers, s.Hidden, s.Intermediate, s.Heads, s.KVHeads, s.HeadDim, s.Vocab, s.MaxPositions) <= 0 ||
		max(s.Hidden, s.Intermediate, s.Heads, s.KVHeads, s.HeadDim) > widest || max(s.Heads, s.KVHeads)*s.HeadDim > widest ||
		s.Layers > deepest || max(s.Vocab, s.MaxPositions) > longest {
		return nil
	}
	s.Parameters = count(*s, c)
	return s
}

// countLlama counts the parameters of a Llama-like model:
// V*H embedding (twice unless tied) + L * (attention + 3*H*I + 2*H) + H.
func countLlama(s engine.ModelShape, c hfConfig) int64 {
	hidden, inner := int64(s.Hidden), int64(s.Intermediate)
	q, kv := int64(s.Heads*s.HeadDim), int64(s.KVHeads*s.HeadDim)

	layer := hidden*(q+2*kv) + q*hidden + 3*hidden*inner + 2*hidden
	switch {
	case s.Architecture == "Qwen2ForCausalLM": // always biased, not on the output
		layer += q + 2*kv
	case c.AttentionBias:
		layer += q + 2*kv + hidden
	}
	if s.Architecture == "Qwen3ForCausalLM" { // norms of query and key heads
		layer += 2 * int64(s.HeadDim)
	}
	if c.MLPBias {
		layer += 2*inner + hidden
	}
	embedding := int64(s.Vocab) * hidden
	if c.Tied == nil || !*c.Tied {
		embedding *= 2
	}
	return embedding + int64(s.Layers)*layer + hidden
}

// countGPT2 counts the parameters of GPT-2, whose output layer is its
// embedding: (V+P)*H + L * (12*H*H + 13*H for I = 4*H) + 2*H.
func countGPT2(s engine.ModelShape, _ hfConfig) int64 {
	hidden, inner := int64(s.Hidden), int64(s.Intermediate)
	attention := hidden*3*hidden + 3*hidden + hidden*hidden + hidden
	mlp := hidden*inner + inner + inner*hidden + hidden
	norms := 4 * hidden
	return int64(s.Vocab+s.MaxPositions)*hidden + int64(s.Layers)*(attention+mlp+norms) + 2*hidden
}
