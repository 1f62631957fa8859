package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// toolkit is a folder laid out as a CUDA toolkit, which torch's CMake files want
// to find wherever torch itself was built for CUDA, even for vLLM's CPU build.
// Empty for a torch without CUDA. Where nvcc comes from PyPI, the folder is made
// of links to what the packages hold.
func (k *kit) toolkit(ctx context.Context) (string, error) {
	if !strings.Contains(k.torchVersion, "+cu") {
		return "", nil
	}
	compiler := k.nvcc
	if compiler.path == "" {
		var err error
		if compiler, err = findNVCC(ctx, k.packages); err != nil {
			return "", err
		}
	}
	for _, lib := range []string{"lib64", "lib"} {
		if _, err := os.Stat(filepath.Join(compiler.root, lib, "libcudart.so")); err == nil {
			return compiler.root, nil
		}
	}
	wheels := filepath.Join(k.packages, "nvidia", "cu13")
	dir := filepath.Join(k.cache, "toolkit-"+hashStrings(compiler.root, wheels))
	return dir, errors.Join(
		linkAll(filepath.Join(compiler.root, "bin"), filepath.Join(dir, "bin"), sameName),
		linkAll(filepath.Join(compiler.root, "nvvm"), filepath.Join(dir, "nvvm"), sameName),
		linkAll(filepath.Join(compiler.root, "include"), filepath.Join(dir, "include"), sameName),
		linkAll(filepath.Join(wheels, "include"), filepath.Join(dir, "include"), sameName),
		linkAll(filepath.Join(compiler.root, "lib"), filepath.Join(dir, "lib64"), linkerNames),
		linkAll(filepath.Join(wheels, "lib"), filepath.Join(dir, "lib64"), linkerNames),
	)
}

// linkAll links the entries of a folder into another, under the names that they
// are to have there. What is there already stays.
func linkAll(from, to string, names func(string) []string) error {
	entries, err := os.ReadDir(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // another package has it
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	for _, e := range entries {
		for _, name := range names(e.Name()) {
			err := os.Symlink(filepath.Join(from, e.Name()), filepath.Join(to, name))
			if err != nil && !errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("lay out a CUDA toolkit: %w", err)
			}
		}
	}
	return nil
}

func sameName(name string) []string { return []string{name} }

// linkerNames adds the name that linkers look for: packages on PyPI have only
// libcudart.so.13.
func linkerNames(name string) []string {
	if stem, _, versioned := strings.Cut(name, ".so."); versioned {
		return []string{name, stem + ".so"}
	}
	return []string{name}
}
