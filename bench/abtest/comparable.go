package abtest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"stepbench/engine"
)

// differences names what the engines of two arms do not have in common. Kernel
// libraries are what is compared, so they may differ; so may hosts, on request.
func differences(a, b *engine.Info, hostsDiffer bool) []string {
	var out []string
	add := func(name string, x, y any) {
		if x != y {
			out = append(out, fmt.Sprintf("%s (%v, %v)", name, x, y))
		}
	}
	add("vLLM", a.VLLMVersion, b.VLLMVersion)
	add("torch", a.TorchVersion, b.TorchVersion)
	add("Python", a.PythonVersion, b.PythonVersion)
	add("platform", a.Platform, b.Platform)
	add("device", a.Device, b.Device)
	add("device UUID", a.DeviceUUID, b.DeviceUUID)
	add("dtype", a.DType, b.DType)
	add("attention backend", a.AttentionBackend, b.AttentionBackend)
	add("graph mode", a.GraphMode, b.GraphMode)
	add("max model len", a.MaxModelLen, b.MaxModelLen)
	add("max num seqs", a.MaxNumSeqs, b.MaxNumSeqs)
	add("max num batched tokens", a.MaxNumBatchedTokens, b.MaxNumBatchedTokens)
	add("KV cache blocks", a.KVBlocks, b.KVBlocks)
	add("KV cache block size", a.KVBlockSize, b.KVBlockSize)
	add("prefix caching", a.PrefixCaching, b.PrefixCaching)
	if !hostsDiffer {
		add("host mode", a.HostMode, b.HostMode)
	}
	names := maps.Clone(a.Env)
	if names == nil {
		names = map[string]string{}
	}
	maps.Copy(names, b.Env)
	for _, name := range sortedKeys(names) {
		if ownNames[name] {
			continue
		}
		add(name, a.Env[name], b.Env[name])
	}
	return out
}

// ownNames are variables that differ by process: names and a port of its own.
var ownNames = map[string]bool{"VLLM_PORT": true, "VLLM_RPC_BASE_PATH": true, "VLLM_DIST_IDENT": true, "VLLM_OBJECT_STORAGE_SHM_BUFFER_NAME": true}

// notLoaded is why the process does not run the variant it should, empty if it
// does: the files that are mapped into it must be those that were built.
func notLoaded(want *engine.Variant, have *engine.LoadedVariant) string {
	switch {
	case want == nil && have == nil:
		return ""
	case want == nil:
		return "runs variant " + have.Name + " instead of stock"
	case have == nil:
		return "runs stock kernels instead of the variant"
	}
	var mapped []string
	for _, f := range have.Files {
		mapped = append(mapped, f.SHA256)
	}
	for _, path := range files(want) {
		if sum := want.SHA256[path]; !slices.Contains(mapped, sum) {
			return fmt.Sprintf("%s is not mapped into the worker's process", path)
		}
	}
	return ""
}

// files of a variant.
func files(v *engine.Variant) []string {
	var all []string
	if v.Library != "" {
		all = append(all, v.Library)
	}
	for _, name := range sortedKeys(v.Modules) {
		all = append(all, v.Modules[name])
	}
	return all
}

func list(items []string) string { return strings.Join(items, ", ") }
