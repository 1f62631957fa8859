package engine

// Memory is what a rank's memory went to when the engine opened, in bytes. The
// figures are vLLM's own, of vllm/v1/worker/gpu_worker.py, but for ParameterBytes
// and UsedBytes; those that vLLM does not keep are 0: on a CPU most, and with a KV
// cache of a given size the profile's.
type Memory struct {
	TotalBytes       int64 `json:"total_bytes,omitempty"`         // of the device
	FreeAtStartBytes int64 `json:"free_at_start_bytes,omitempty"` // before the model was loaded, after NCCL was
	RequestedBytes   int64 `json:"requested_bytes,omitempty"`     // GPUMemoryUtilization of TotalBytes
	WeightsBytes     int64 `json:"weights_bytes,omitempty"`       // "Model loading took"
	// ParameterBytes sums the storages of the model's parameters and buffers; on a
	// CPU without the matrices that vLLM packs anew.
	ParameterBytes      int64 `json:"parameter_bytes,omitempty"`
	PeakActivationBytes int64 `json:"peak_activation_bytes,omitempty"` // of the profile run, above the weights
	NonTorchBytes       int64 `json:"non_torch_bytes,omitempty"`       // grown while loading and profiling
	GraphEstimateBytes  int64 `json:"graph_estimate_bytes,omitempty"`  // of CUDA graphs, before they are captured
	AvailableKVBytes    int64 `json:"available_kv_bytes,omitempty"`    // "Available KV cache memory"
	KVCacheBytes        int64 `json:"kv_cache_bytes,omitempty"`        // whole blocks, all layers
	// UsedBytes of the device are in use, by whomever, once the engine is open.
	UsedBytes int64 `json:"used_bytes,omitempty"`
}
