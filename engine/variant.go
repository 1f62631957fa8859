package engine

// Stock is the name of the kernels that the installed vLLM came with.
const Stock = "stock"

// Variant is a changed build of vLLM's csrc kernels, made by package build.
type Variant struct {
	Name string `json:"name"`
	// Library registers its ops over vLLM's own. It is loaded after vLLM's
	// modules and before the engine is built, since CUDA graphs capture
	// kernels. Empty where whole modules are replaced.
	Library string `json:"library,omitempty"`
	// Modules are files to load in place of vLLM's extension modules, by the
	// module's name: "vllm._C".
	Modules map[string]string `json:"modules,omitempty"`
	// SHA256 are the files' hashes, by path; another file is refused.
	SHA256 map[string]string `json:"sha256"`
	// Ops are those that Library registers, "_C::rotary_embedding".
	Ops []string `json:"ops,omitempty"`
}

// LoadedVariant is what the engine's process has loaded of a variant.
type LoadedVariant struct {
	Name string `json:"name"`
	// Files are those mapped into the process, with their hashes.
	Files []Module `json:"files"`
	Ops   []string `json:"ops"`
}
