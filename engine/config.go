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
	PrefixCaching       bool   `json:"prefix_caching"`

	HostMode       HostMode          `json:"host_mode"` // what kind of process the engine is in
	OpenSeconds    float64           `json:"open_s"`
	CompileSeconds float64           `json:"compile_s"`
	Modules        []Module          `json:"modules"` // csrc extension modules loaded
	Variant        *LoadedVariant    `json:"variant,omitempty"`
	Threads        []string          `json:"python_threads"`
	Env            map[string]string `json:"env"` // variables that change results
}

// Module is one loaded extension module.
type Module struct {
	Name   string `json:"name"`
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
}
