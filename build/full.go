package build

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// full builds whole modules by vLLM's own CMake targets and installs them into
// the variant, where they stand in for the environment's. The build folder is
// kept for the next time; vLLM's scripts write generated sources into the tree.
func (k *kit) full(ctx context.Context, opt Options, t Tree, c Changes, staged string, m *Manifest) error {
	phase := time.Now()
	d, err := k.describe(ctx, t)
	if err != nil {
		return err
	}
	if err := k.generate(ctx, t, d); err != nil {
		return err
	}
	modules, err := k.modulesToReplace(d, t, c)
	if err != nil {
		return err
	}
	dir := filepath.Join(k.cache, fmt.Sprintf("full-%s-%s", k.device, hashStrings(t.Dir, k.cxx, k.torch, archList(k.archs))))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	unlock, err := lock(ctx, dir, opt.Progress)
	if err != nil {
		return err
	}
	defer unlock()
	p := &project{k: k, tree: t, dir: dir, jobs: opt.Jobs, log: opt.Progress}
	opt.Progress(fmt.Sprintf("configure vLLM's own build in %s", dir))
	toolkit, err := k.toolkit(ctx)
	if err != nil {
		return err
	}
	args := k.fullConfigure(t, dir, toolkit)
	if out, err := p.full(ctx, args); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return unusable("vLLM's CMake cannot be configured for %s%s: %w\n%s", k.describeDevice(), notFetched(out), err, t.userPaths(lastLines(out, 25)))
	}
	m.Seconds.Scan = time.Since(phase).Seconds()

	phase = time.Now()
	var targets []string
	for _, mod := range modules {
		targets = append(targets, mod.Name)
	}
	opt.Progress("build " + strings.Join(targets, ", "))
	if err := p.make(ctx, "compile", targets...); err != nil {
		return err
	}
	m.Seconds.Compile = time.Since(phase).Seconds()

	phase = time.Now()
	m.Modules = map[string]string{}
	for _, name := range targets {
		out, err := p.full(ctx, []string{k.cmake, "--install", dir, "--prefix", staged, "--component", name})
		if err != nil {
			return fmt.Errorf("install %s: %w\n%s", name, err, out)
		}
		found, _ := filepath.Glob(filepath.Join(staged, "vllm", name+".*so"))
		if len(found) != 1 {
			return fmt.Errorf("install %s: vLLM's CMake installed %d files of that name", name, len(found))
		}
		m.Modules["vllm."+name], _ = filepath.Rel(staged, found[0])
	}
	m.Compilers = []Compiler{{Path: k.cxx, Version: "g++ " + k.cxxVersion, Options: args[1:], Cached: k.launcher != ""}}
	if k.device == CUDA {
		m.Compilers = append(m.Compilers, Compiler{Path: k.nvcc.path, Version: "nvcc " + k.nvcc.version, Cached: k.launcher != ""})
	}
	m.Seconds.Link = time.Since(phase).Seconds()
	return nil
}

// modulesToReplace are those with a unit that the change may reach; all of the
// device where vLLM's build itself has changed.
func (k *kit) modulesToReplace(d Description, t Tree, c Changes) ([]Module, error) {
	modules := k.modules(d)
	for _, file := range c.Files {
		if !strings.HasPrefix(file, "csrc/") || slices.Contains(d.Generators, file) {
			return modules, nil
		}
	}
	reach, err := k.includers(t, c.Files)
	if err != nil {
		return nil, err
	}
	var out []Module
	for _, m := range modules {
		if slices.ContainsFunc(m.Units, func(u Unit) bool { return reach[u.Source] }) {
			out = append(out, m)
		}
	}
	if len(out) == 0 {
		return nil, refuse("no module of vLLM's %s build includes %s: nothing to build (is --device right?)", k.describeDevice(), strings.Join(c.Files, ", "))
	}
	return out, nil
}

// fullConfigure is the command that configures vLLM's own build.
// Source: CMakeLists.txt and setup.py of vLLM 0.26.0.
func (k *kit) fullConfigure(t Tree, dir, toolkit string) []string {
	args := []string{k.cmake, "-S", t.Dir, "-B", dir, "-G", "Ninja", "-DCMAKE_MAKE_PROGRAM=" + k.ninja,
		"-DCMAKE_BUILD_TYPE=RelWithDebInfo", // setup.py's
		"-DCMAKE_CXX_COMPILER=" + k.cxx, "-DVLLM_PYTHON_EXECUTABLE=" + k.python, "-DVLLM_TARGET_DEVICE=" + string(k.device)}
	if k.launcher != "" {
		args = append(args, "-DCMAKE_CXX_COMPILER_LAUNCHER="+k.launcher, "-DCMAKE_CUDA_COMPILER_LAUNCHER="+k.launcher)
	}
	if toolkit != "" {
		args = append(args, "-DCMAKE_CUDA_COMPILER="+filepath.Join(toolkit, "bin", "nvcc"),
			"-DCUDAToolkit_ROOT="+toolkit, "-DCUDA_TOOLKIT_ROOT_DIR="+toolkit)
	}
	if k.device == CUDA {
		args = append(args, "-DTORCH_CUDA_ARCH_LIST="+archList(k.archs))
	}
	return append(args, fetched(os.Environ())...)
}

// fetched hands on where other projects' sources are. vLLM's CMake reads its own
// variables (VLLM_CUTLASS_SRC_DIR and others) from the environment, CMake's
// FETCHCONTENT_* only as definitions.
func fetched(environment []string) []string {
	var args []string
	for _, pair := range environment {
		if strings.HasPrefix(pair, "FETCHCONTENT_") {
			args = append(args, "-D"+pair)
		}
	}
	return sorted(args)
}

// sourceVariables say where a local copy of another project's sources is, by a
// part of its address. Source: CMakeLists.txt, cmake/cpu_extension.cmake and
// cmake/external_projects of vLLM 0.26.0.
var sourceVariables = map[string]string{
	"cutlass": "VLLM_CUTLASS_SRC_DIR", "flash-attention": "VLLM_FLASH_ATTN_SRC_DIR", "FlashMLA": "FLASH_MLA_SRC_DIR", "DeepGEMM": "DEEPGEMM_SRC_DIR",
	"qutlass": "QUTLASS_SRC_DIR", "/MSA": "FMHA_SM100_SRC_DIR", "tml-fa4": "TML_FA4_SRC_DIR", "triton": "TRITON_KERNELS_SRC_DIR", "oneDNN": "FETCHCONTENT_SOURCE_DIR_ONEDNN", "ComputeLibrary": "ACL_ROOT_DIR",
}

var failedClone = regexp.MustCompile(`Failed to clone repository:\s+'([^']+)'`)

// notFetched names the repository that could not be had, and the way around.
func notFetched(output string) string {
	m := failedClone.FindStringSubmatch(output)
	if m == nil {
		return ""
	}
	for part, variable := range sourceVariables {
		if strings.Contains(m[1], part) {
			return fmt.Sprintf(" because %s cannot be fetched (set %s to a local copy)", m[1], variable)
		}
	}
	return fmt.Sprintf(" because %s cannot be fetched", m[1])
}

// archList is how TORCH_CUDA_ARCH_LIST spells architectures.
func archList(archs []string) string { return strings.Join(archs, ";") }

// full runs a command of the build, and gives what it said.
func (p *project) full(ctx context.Context, args []string) (string, error) {
	cmd := p.command(ctx, args[0], args[1:]...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
