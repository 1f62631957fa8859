package engine

// Model is what vLLM is asked to load.
type Model struct {
	Name string `json:"name"` // as the user gave it, "gpt2:2"
	Path string `json:"path"` // a model folder, or a hub name
	// Synthetic marks a preset: random weights of the right shapes and a
	// generated tokenizer. Its outputs mean nothing, its speed does.
	Synthetic bool `json:"synthetic"`
	// Shape is known for presets and local folders with a config.json.
	Shape *ModelShape `json:"shape,omitempty"`
	// ConfigSHA256 is the hash of config.json, empty for hub names.
	ConfigSHA256 string `json:"config_sha256,omitempty"`
}

// ModelShape are the sizes of a decoder-only transformer.
type ModelShape struct {
	Architecture string `json:"architecture"` // config.json's architectures[0]
	Layers       int    `json:"layers"`
	Hidden       int    `json:"hidden"`
	Intermediate int    `json:"intermediate"`
	Heads        int    `json:"heads"`
	KVHeads      int    `json:"kv_heads"`
	HeadDim      int    `json:"head_dim"`
	Vocab        int    `json:"vocab"`
	MaxPositions int    `json:"max_positions"` // tokens
	Parameters   int64  `json:"parameters"`    // tied embeddings counted once
}
