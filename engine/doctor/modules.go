package doctor

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// module is one csrc extension module in vLLM's folder.
type module struct {
	file   string // relative, "vllm_flash_attn/_vllm_fa3_C.abi3.so"
	bytes  int64
	sha256 string
	err    error
}

// name is the file without what Python's build adds to it.
func (m module) name() string {
	stem, _, _ := strings.Cut(path.Base(m.file), ".")
	return path.Join(path.Dir(m.file), stem)
}

// moduleChecks list every extension module with its hash, which ties a result
// to the code that ran, and on CPU the one that vLLM will load.
func moduleChecks(h host, vllm dist, cpu cpuInfo) []Check {
	const name = "csrc modules"
	if vllm.Folder == "" {
		return []Check{notAvailable(name, errors.New("no vLLM to look at"))}
	}
	modules, err := readModules(h.open(vllm.Folder))
	if err != nil {
		return []Check{notAvailable(name, err)}
	}
	if len(modules) == 0 {
		return []Check{{
			Name: name, Status: Fail, Value: "none", Detail: "no .so file below " + vllm.Folder,
			Remedy: "install vLLM with its compiled modules: run make setup",
		}}
	}
	var checks []Check
	picked := ""
	if vllm.build() == "cpu" {
		var isa Check
		isa, picked = isaCheck(cpu, modules)
		checks = append(checks, isa)
	}
	for _, m := range modules {
		c := m.check()
		switch {
		case m.err != nil: // says so already
		case picked != "" && m.name() == picked:
			c.Detail += ", used on this CPU"
		case picked != "" && slices.Contains(isaModules, m.name()):
			c.Detail += ", not used on this CPU"
		}
		checks = append(checks, c)
	}
	return checks
}

// check shows the start of the hash; the facts have all of it.
func (m module) check() Check {
	name := "module " + m.name()
	if m.err != nil {
		return notAvailable(name, m.err)
	}
	return Check{
		Name: name, Status: OK, Value: "sha256 " + m.sha256[:12], Detail: m.file + ", " + size(uint64(m.bytes)),
		Facts: map[string]any{"file": m.file, "sha256": m.sha256, "size_bytes": m.bytes},
	}
}

var isaModules = []string{"_C", "_C_AVX512", "_C_AVX2"}

// pickISA is the module that vLLM imports as its CPU kernels, and what it needs
// of the processor. Source: CpuPlatform.import_kernels in vllm/platforms/cpu.py;
// what counts as AVX512 there is in ATen/cpu/Utils.cpp.
func pickISA(cpu cpuInfo) (name, isa string) {
	switch {
	case !cpu.has("avx512f", "avx512vl", "avx512bw", "avx512dq"):
		return "_C_AVX2", "AVX2"
	case !cpu.has("avx512_bf16"):
		return "_C_AVX512", "AVX512"
	}
	return "_C", "AVX512 with BF16"
}

func isaCheck(cpu cpuInfo, modules []module) (c Check, picked string) {
	const name = "isa"
	if cpu.err != nil {
		return notAvailable(name, cpu.err), ""
	}
	if len(cpu.flags) == 0 {
		return notAvailable(name, errors.New("cpuinfo: no flags, not an x86 processor")), ""
	}
	picked, isa := pickISA(cpu)
	c = Check{Name: name, Status: OK, Value: isa, Detail: "vLLM loads " + picked, Facts: map[string]any{"isa": isa, "module": picked}}
	if !cpu.has("avx2") {
		c.Status, c.Value = Fail, "no AVX2"
		c.Detail = "vLLM's CPU kernels need it"
		c.Remedy = "use a processor with AVX2, or a virtual machine that passes it through"
		return c, ""
	}
	if !slices.ContainsFunc(modules, func(m module) bool { return m.name() == picked }) {
		c.Status = Fail
		c.Detail += ", which is not installed"
		c.Remedy = "install a vLLM that carries it: run make setup"
	}
	return c, picked
}

// readModules hashes the .so files below vLLM's folder, as many at a time as
// there are processors. A file that vanishes or cannot be read keeps its error.
func readModules(folder fs.FS) ([]module, error) {
	var modules []module
	err := fs.WalkDir(folder, ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.IsDir() && strings.HasSuffix(file, ".so") {
			modules = append(modules, module{file: file})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list vLLM's modules: %w", err)
	}
	var all sync.WaitGroup
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i := range modules {
		slots <- struct{}{}
		all.Go(func() {
			modules[i].hash(folder)
			<-slots
		})
	}
	all.Wait()
	return modules, nil
}

func (m *module) hash(folder fs.FS) {
	f, err := folder.Open(m.file)
	if err != nil {
		m.err = err
		return
	}
	defer f.Close()
	sum := sha256.New()
	if m.bytes, m.err = io.Copy(sum, f); m.err == nil {
		m.sha256 = hex.EncodeToString(sum.Sum(nil))
	}
}
