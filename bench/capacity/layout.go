package capacity

import (
	"fmt"

	"stepbench/engine"
)

// Layout is how a model is spread: each layer over TP devices, the layers over PP
// stages.
type Layout struct {
	TP int `json:"tp"`
	PP int `json:"pp"`
}

// Devices is how many the layout needs.
func (l Layout) Devices() int { return l.TP * l.PP }

// Layouts are those whose devices divide gpus, the smaller first.
func Layouts(gpus int) []Layout {
	var out []Layout
	for n := 1; n <= gpus; n++ {
		for tp := n; tp >= 1 && gpus%n == 0; tp-- {
			if n%tp == 0 {
				out = append(out, Layout{tp, n / tp})
			}
		}
	}
	return out
}

// vocabPadding: vLLM pads vocabularies to a multiple of this
// (vllm/model_executor/layers/vocab_parallel_embedding.py).
const vocabPadding = 64

// Refused says why vLLM 0.26 does not open the model so, in its own words; empty
// if it does. Stages without a layer are refused here. Sources: ModelConfig.verify_with_parallel_config in
// vllm/config/model.py, divide in vllm/distributed/utils.py, which
// QKVParallelLinear and VocabParallelEmbedding call.
func (l Layout) Refused(s *engine.ModelShape) string {
	if s.Heads%l.TP != 0 {
		return fmt.Sprintf("Total number of attention heads (%d) must be divisible by tensor parallel size (%d).", s.Heads, l.TP)
	}
	for _, d := range []struct{ numerator, denominator int }{
		{paddedVocab(s), l.TP}, {max(l.TP, s.KVHeads), min(l.TP, s.KVHeads)}, {s.Intermediate, l.TP},
	} {
		if d.numerator%d.denominator != 0 {
			return fmt.Sprintf("%d is not divisible by %d", d.numerator, d.denominator)
		}
	}
	if s.Layers < l.PP {
		return fmt.Sprintf("%d layers give %d stages: %d would have none", s.Layers, l.PP, l.PP-s.Layers)
	}
	return ""
}

func paddedVocab(s *engine.ModelShape) int {
	return (s.Vocab + vocabPadding - 1) / vocabPadding * vocabPadding
}

// StageLayers are the layers of each stage: what is left over goes to the stages
// before the last, one each. Source: get_pp_indices in vllm/distributed/utils.py.
func (l Layout) StageLayers(layers int) []int {
	out := make([]int, l.PP)
	for i := range out {
		out[i] = layers / l.PP
	}
	for i := range layers % l.PP {
		out[l.PP-2-i]++
	}
	return out
}

// kvHeads is how many a rank keeps: they are replicated where there are fewer than
// ranks. Source: QKVParallelLinear in vllm/model_executor/layers/linear.py.
func (l Layout) kvHeads(s *engine.ModelShape) int { return max(1, s.KVHeads/l.TP) }
