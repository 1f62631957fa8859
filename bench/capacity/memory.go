package capacity

import "stepbench/engine"

// BlockTokens is vLLM's block of the KV cache on CUDA.
const BlockTokens = 16

// nonTorchBytes is assumed to be taken outside torch while the model is loaded and
// profiled: code, cuBLAS workspaces. NCCL's buffers and the context come before
// vLLM's first look, so they take nothing of its share.
const nonTorchBytes = 350 << 20

// DefaultUtilization is vLLM 0.26's gpu_memory_utilization
// (vllm/config/cache.py).
const DefaultUtilization = 0.92

// Limits are those of the engine that memory depends on.
type Limits struct {
	ElementBytes     int     `json:"element_bytes"` // of weights, activations and KV cache
	Utilization      float64 `json:"gpu_memory_utilization"`
	MaxBatchedTokens int     `json:"max_num_batched_tokens"`
	MaxSeqs          int     `json:"max_num_seqs"`
	ContextTokens    int     `json:"context_tokens"` // of each sequence, its output included
}

// Memory is the estimate for the rank that has the least room for the KV cache.
// Bytes are of one device.
type Memory struct {
	Stage           int   `json:"stage"`
	RequestedBytes  int64 `json:"requested_bytes"` // utilization of the device
	WeightBytes     int64 `json:"weight_bytes"`
	ActivationBytes int64 `json:"peak_activation_bytes"`
	NonTorchBytes   int64 `json:"non_torch_bytes"` // assumed
	// KVBytes is what is left; negative if the weights do not fit.
	KVBytes         int64 `json:"available_kv_bytes"`
	KVBytesPerToken int64 `json:"kv_bytes_per_token"`
	KVTokens        int64 `json:"kv_tokens"`
	// Sequences of ContextTokens fit at once; 0 if not even one.
	Sequences int64 `json:"largest_batch"`
}

// Memory divides a device as vLLM 0.26 does (determine_available_memory in
// vllm/v1/worker/gpu_worker.py):
//
//	KV cache = utilization · memory − weights − peak of the profile run − outside torch
//
// CUDA graphs take nothing of it: vLLM's model runner V2, which dense models have,
// estimates them as 0 (profile_cudagraph_memory in vllm/v1/worker/gpu/model_runner.py),
// so they come out of the memory beyond the utilization. All ranks get as many
// blocks as the one with least room; a block holds keys and values:
//
//	bytes a token = 2 · layers of the stage · KV heads of the rank · head size · element
func (l Layout) Memory(s *engine.ModelShape, d Device, lim Limits) Memory {
	var least Memory
	for stage := range l.PP {
		if m := l.stage(s, d, lim, stage); stage == 0 || m.KVTokens < least.KVTokens {
			least = m
		}
	}
	blocks := (int64(lim.ContextTokens) + BlockTokens - 1) / BlockTokens
	least.Sequences = least.KVTokens / BlockTokens / blocks
	return least
}

// stage is the estimate for the ranks of one stage, without Sequences.
func (l Layout) stage(s *engine.ModelShape, d Device, lim Limits, stage int) Memory {
	m := Memory{Stage: stage, RequestedBytes: int64(float64(d.MemoryBytes) * lim.Utilization), NonTorchBytes: nonTorchBytes}
	m.WeightBytes = l.Weights(s, stage).Total() * int64(lim.ElementBytes)
	m.ActivationBytes = l.activations(s, stage == l.PP-1, lim)
	m.KVBytes = m.RequestedBytes - m.WeightBytes - m.ActivationBytes - m.NonTorchBytes
	m.KVBytesPerToken = 2 * int64(l.StageLayers(s.Layers)[stage]) * int64(l.kvHeads(s)) * int64(s.HeadDim) * int64(lim.ElementBytes)
	m.KVTokens = max(0, m.KVBytes) / (m.KVBytesPerToken * BlockTokens) * BlockTokens
	return m
}

// activations is the peak of a forward pass of MaxBatchedTokens, in an MLP: the
// residual, its input and its output, the inner activations (gate, up and their
// product; of GPT-2 two) of the rank; or, where more, the last stage's logits of
// MaxSeqs rows in the model's element and twice in float32.
func (l Layout) activations(s *engine.ModelShape, last bool, lim Limits) int64 {
	tokens, element := int64(lim.MaxBatchedTokens), int64(lim.ElementBytes)
	peak := tokens * (3*int64(s.Hidden) + s.MLPMatrices()*int64(s.Intermediate)/int64(l.TP)) * element
	if last {
		rows := min(int64(lim.MaxSeqs), tokens)
		peak = max(peak, tokens*int64(s.Hidden)*element+rows*int64(paddedVocab(s))*(element+8))
	}
	return peak
}
