package build

import (
	"context"
	"debug/elf"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// borrowed are the functions that a library takes from vLLM's own modules,
// demangled: helpers in units that the change does not affect.
func (k *kit) borrowed(ctx context.Context, library string, stock []string) ([]string, error) {
	needed, err := openLibrary(library)
	if err != nil {
		return nil, err
	}
	var offered, elsewhere []string
	for _, file := range needed.needs {
		if !filepath.IsAbs(file) {
			continue // by name: torch and the system
		}
		if i := slices.IndexFunc(stock, func(s string) bool { return sameDir(s, file) }); i >= 0 {
			module, err := openLibrary(stock[i])
			if err != nil {
				return nil, err
			}
			offered = append(offered, module.defines...)
		}
	}
	if len(offered) == 0 {
		return nil, nil
	}
	for _, file := range k.libraries() {
		other, err := openLibrary(file)
		if err != nil {
			return nil, err
		}
		elsewhere = append(elsewhere, other.defines...)
	}
	slices.Sort(offered)
	slices.Sort(elsewhere)
	var names []string
	for _, name := range needed.lacks {
		_, here := slices.BinarySearch(offered, name)
		_, there := slices.BinarySearch(elsewhere, name)
		if here && !there {
			names = append(names, name)
		}
	}
	readable, err := demangle(ctx, names)
	return sorted(readable), err
}

// loadable is what the dynamic linker sees of a library.
type loadable struct{ needs, defines, lacks []string }

func openLibrary(path string) (loadable, error) {
	f, err := elf.Open(path)
	if err != nil {
		return loadable{}, fmt.Errorf("read %s: %w", path, err)
	}
	defer f.Close()
	var l loadable
	if l.needs, err = f.ImportedLibraries(); err != nil {
		return loadable{}, fmt.Errorf("read %s: %w", path, err)
	}
	symbols, err := f.DynamicSymbols()
	if err != nil {
		return loadable{}, fmt.Errorf("read %s: %w", path, err)
	}
	for _, s := range symbols {
		if s.Section == elf.SHN_UNDEF {
			l.lacks = append(l.lacks, s.Name)
		} else {
			l.defines = append(l.defines, s.Name)
		}
	}
	return l, nil
}

// demangle gives names as C++ writes them, in the same order; as they are where
// c++filt is missing.
func demangle(ctx context.Context, names []string) ([]string, error) {
	tool, err := exec.LookPath("c++filt")
	if err != nil || len(names) == 0 {
		return names, nil
	}
	cmd := exec.CommandContext(ctx, tool)
	cmd.Stdin = strings.NewReader(strings.Join(names, "\n") + "\n")
	out, err := cmd.Output()
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if err != nil || len(lines) != len(names) {
		return nil, fmt.Errorf("demangle %d names: c++filt gave %d (%w)", len(names), len(lines), err)
	}
	return lines, nil
}

// checkSignatures refuses a function whose parameters have changed: the
// registration calls it as vLLM declares it, and would get vLLM's own.
func checkSignatures(borrowed []string, registered []Registration) error {
	for _, name := range borrowed {
		name, _, _ = strings.Cut(name, "(")
		for _, r := range registered {
			if r.Function == name {
				return refuse("%s has other parameters than vLLM declares for %s%s", name, r.Name(), full)
			}
		}
	}
	return nil
}
