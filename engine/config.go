package engine

// Config says which engine to open. Zero numbers mean vLLM's default.
type Config struct {
	Model Model `json:"model"`

	DType               string `json:"dtype,omitempty"`
	MaxModelLen         int    `json:"max_model_len,omitempty"`          // tokens
	MaxNumSeqs          int    `json:"max_num_seqs,omitempty"`           // sequences a step
	MaxNumBatchedTokens int    `json:"max_num_batched_tokens,omitempty"` // tokens a step
	KVCacheBytes        int64  `json:"kv_cache_bytes,omitempty"`
	EnforceEager        bool   `json:"enforce_eager,omitempty"`
	PrefixCaching       bool   `json:"prefix_caching,omitempty"`
	// SkipTokenizer opens the engine without a tokenizer. Prompts are token
	// ids either way; only stop strings need it.
	SkipTokenizer bool `json:"skip_tokenizer,omitempty"`
	// Audit keeps every finished request's RequestStateStats in Python for the
	// control method "audit", to check what came through the shim.
	Audit bool  `json:"audit,omitempty"`
	Seed  int64 `json:"seed,omitempty"`
	// TP and PP are the tensor and pipeline parallel sizes; 0 is 1.
	TP int `json:"tp,omitempty"`
	PP int `json:"pp,omitempty"`
	// Executor is empty for the one that fits: uni, or mp for several ranks.
	Executor Executor `json:"executor,omitempty"`
	// Variant replaces kernels; nil leaves vLLM as it was installed.
	Variant *Variant `json:"variant,omitempty"`
	// Extra is passed to vLLM's EngineArgs as it is and wins over the above.
	Extra map[string]any `json:"extra,omitempty"`
}

// Info describes an open engine, as vLLM reports it.
type Info struct {
	VLLMVersion   string `json:"vllm_version"`
	TorchVersion  string `json:"torch_version"`
	PythonVersion string `json:"python_version"`
	Platform      string `json:"platform"` // cpu or cuda
	Device        string `json:"device"`   // its name
	DeviceUUID    string `json:"device_uuid,omitempty"`

	DType               string `json:"dtype"`
	AttentionBackend    string `json:"attention_backend,omitempty"`
	GraphMode           string `json:"graph_mode"`
	MaxGraphTokens      int    `json:"max_graph_tokens"` // of the largest graph, padding included
	MaxModelLen         int    `json:"max_model_len"`
	MaxNumSeqs          int    `json:"max_num_seqs"`
	MaxNumBatchedTokens int    `json:"max_num_batched_tokens"`
	VocabSize           int    `json:"vocab_size"`
	KVBlocks            int    `json:"kv_blocks"`
	KVBlockSize         int    `json:"kv_block_size"` // tokens
	AsyncScheduling     bool   `json:"async_scheduling"`
	// QueuedBatches is how many batches are in flight at a time where that is more
	// than one: with pipeline parallelism or async scheduling. A call of
	// LLMEngine.step then returns an earlier batch or nothing, and its time is not
	// that of a forward pass. 0: each call runs one batch.
	QueuedBatches int  `json:"queued_batches,omitempty"`
	PrefixCaching bool `json:"prefix_caching"`
	// GPUMemoryUtilization is the share of a device's memory that vLLM may use.
	GPUMemoryUtilization float64 `json:"gpu_memory_utilization,omitempty"`
	Memory               Memory  `json:"memory,omitzero"` // of a single rank; else each of Ranks has its own

	HostMode       HostMode          `json:"host_mode"` // what kind of process the engine is in
	OpenSeconds    float64           `json:"open_s"`
	CompileSeconds float64           `json:"compile_s"`
	Modules        []Module          `json:"modules"`         // csrc extension modules loaded; of several ranks, in the first
	Ranks          []Rank            `json:"ranks,omitempty"` // that are processes of their own
	Variant        *LoadedVariant    `json:"variant,omitempty"`
	Threads        []string          `json:"python_threads"`
	Env            map[string]string `json:"env"` // variables that change results
}

// Rank is one process of a model that is spread over several.
type Rank struct {
	Rank       int    `json:"rank"`
	TP         int    `json:"tp"` // its place among those that share layers
	PP         int    `json:"pp"` // its stage
	PID        int    `json:"pid"`
	Device     int    `json:"device"`                // index among the visible; of a CPU, the rank
	DeviceUUID string `json:"device_uuid,omitempty"` // of a GPU
	Threads    int    `json:"threads"`               // of OpenMP
	CPUs       []int  `json:"cpus"`                  // they are bound to, else may run on

	AttentionBackend string         `json:"attention_backend,omitempty"`
	Modules          []Module       `json:"modules"`
	Memory           Memory         `json:"memory,omitzero"`
	Variant          *LoadedVariant `json:"variant,omitempty"`
}

// RankUse is what a rank has used since it started: the answer of the control
// method "ranks".
type RankUse struct {
	Rank     int   `json:"rank"`
	CPUNs    int64 `json:"cpu_ns"`
	RSSBytes int64 `json:"rss_bytes"`
	// DeviceUsedBytes are in use on its GPU, by whomever; DeviceReservedBytes by
	// its own torch.
	DeviceUsedBytes     int64 `json:"device_used_bytes,omitempty"`
	DeviceReservedBytes int64 `json:"device_reserved_bytes,omitempty"`
	// VariantCalls counts calls of the loaded variant's ops from the host.
	VariantCalls map[string]int64 `json:"variant_calls,omitempty"`
}

// Module is one loaded extension module.
type Module struct {
	Name   string `json:"name"`
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
}
