package build

import (
	"bytes"
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Kernels are hashes of device code: by architecture ("9.0", "9.0a"), then by
// the kernel's demangled name, as profilers show it.
type Kernels map[string]map[string]string

// Add puts other's kernels over those of k, which must not be nil unless other
// is empty.
func (k Kernels) Add(other Kernels) {
	for arch, hashes := range other {
		if k[arch] == nil {
			k[arch] = map[string]string{}
		}
		maps.Copy(k[arch], hashes)
	}
}

// KernelHashes tells kernels of the same name apart: two hashes differ if the
// machine code does, or the registers it asks for. cuobjdump takes the compiled
// code out of a library or module; it may be a variant's or vLLM's own. Answers
// are kept, by the file's hash. Nil without an error where cuobjdump is missing:
// nothing is known then.
func KernelHashes(ctx context.Context, file string) (Kernels, error) {
	tool := findCuobjdump()
	if tool == "" {
		return nil, nil
	}
	sum, err := hashFile(file)
	if err != nil {
		return nil, err
	}
	cache, err := cacheDir()
	if err != nil {
		return nil, err
	}
	kept := filepath.Join(cache, "kernels", sum+".json")
	var known Kernels
	if text, err := os.ReadFile(kept); err == nil && json.Unmarshal(text, &known) == nil {
		return known, nil
	}
	known, err = readKernels(ctx, tool, file)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(known)
	if err != nil {
		return nil, err
	}
	return known, writeFile(kept, text)
}

func findCuobjdump() string {
	var tried []string
	if home := os.Getenv("CUDA_HOME"); home != "" {
		tried = append(tried, filepath.Join(home, "bin", "cuobjdump"))
	}
	if path, err := exec.LookPath("cuobjdump"); err == nil {
		tried = append(tried, path)
	}
	tried = append(tried, "/usr/local/cuda/bin/cuobjdump")
	tried = append(tried, upward(filepath.Join(".nvcc", "nvidia", "cu13", "bin", "cuobjdump"))...)
	for _, path := range tried {
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			if abs, err := filepath.Abs(path); err == nil {
				return abs
			}
		}
	}
	return ""
}

var cubinArch = regexp.MustCompile(`\.sm_([0-9]+)([0-9][af]?)\.cubin$`)

func readKernels(ctx context.Context, tool, file string) (Kernels, error) {
	file, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "stepbench-cubin-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	cmd := exec.CommandContext(ctx, tool, "--extract-elf", "all", file)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil && !bytes.Contains(out, []byte("does not contain device code")) {
		return nil, fmt.Errorf("read device code of %s: %w\n%s", file, err, out)
	}
	cubins, err := filepath.Glob(filepath.Join(dir, "*.cubin"))
	if err != nil {
		return nil, err
	}
	pieces := map[string]map[string][]string{} // a kernel may be in several cubins
	for _, path := range cubins {
		m := cubinArch.FindStringSubmatch(path)
		if m == nil {
			continue
		}
		arch := m[1] + "." + m[2]
		if pieces[arch] == nil {
			pieces[arch] = map[string][]string{}
		}
		if err := codeHashes(path, pieces[arch]); err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
	}
	known := Kernels{}
	for arch, kernels := range pieces {
		if known[arch], err = demangled(ctx, kernels); err != nil {
			return nil, err
		}
	}
	return known, nil
}

// codeHashes adds the hashes of a cubin's functions. Their code is in sections
// named .text.FUNCTION and holds addresses relative to the function only; the
// top byte of the section's info is the number of registers.
func codeHashes(path string, into map[string][]string) error {
	f, err := elf.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, s := range f.Sections {
		name, ok := strings.CutPrefix(s.Name, ".text.")
		if !ok {
			continue
		}
		code, err := s.Data()
		if err != nil {
			return err
		}
		sum := sha256.New()
		fmt.Fprintf(sum, "%d\n", s.Info>>24)
		sum.Write(code)
		into[name] = append(into[name], hex.EncodeToString(sum.Sum(nil))[:32])
	}
	return nil
}

// demangled gives each kernel its name as profilers show it, and one hash.
func demangled(ctx context.Context, kernels map[string][]string) (map[string]string, error) {
	var mangled []string
	for name := range kernels {
		mangled = append(mangled, name)
	}
	slices.Sort(mangled)
	readable, err := demangle(ctx, mangled)
	if err != nil {
		return nil, err
	}
	hashes := map[string][]string{}
	for i, name := range mangled {
		hashes[readable[i]] = append(hashes[readable[i]], kernels[name]...)
	}
	out := map[string]string{}
	for name, all := range hashes {
		if all = sorted(all); len(all) == 1 {
			out[name] = all[0]
		} else {
			out[name] = hashStrings(all...)
		}
	}
	return out, nil
}
