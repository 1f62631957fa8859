package build

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// inspect hashes the variant's files and their kernels.
func (k *kit) inspect(ctx context.Context, staged string, m *Manifest) error {
	phase := time.Now()
	files := []string{m.Library}
	for _, file := range m.Modules {
		files = append(files, file)
	}
	for _, file := range nonEmpty(files) {
		hash, err := hashFile(filepath.Join(staged, file))
		if err != nil {
			return err
		}
		m.SHA256[file] = hash
		if k.device != CUDA {
			continue
		}
		kernels, err := KernelHashes(ctx, filepath.Join(staged, file))
		if err != nil {
			return err
		}
		if len(kernels) > 0 && m.Kernels == nil {
			m.Kernels = Kernels{}
		}
		m.Kernels.Add(kernels)
	}
	if k.device == CUDA && m.Kernels == nil {
		m.Warnings = append(m.Warnings, "cuobjdump not found: which kernels changed is unknown; run make nvcc, or set CUDA_HOME")
	}
	m.Seconds.Inspect = time.Since(phase).Seconds()
	return nil
}

// compilers are those that took part, with the options of the first unit of each.
func (k *kit) compilers(p *project) []Compiler {
	first := p.modules[0]
	mapped := append(p.k.mapped(), p.mappedTree()...)
	cxx := Compiler{Path: k.cxx, Version: "g++ " + k.cxxVersion, Cached: k.launcher != ""}
	cxx.Options = append([]string{"-std=gnu++20", "-O2", "-DNDEBUG", "-fPIC"}, k.cxxOptions(first.Module)...)
	for _, d := range first.Defines {
		cxx.Options = append(cxx.Options, "-D"+d)
	}
	cxx.Options = append(cxx.Options, mapped...)
	all := []Compiler{cxx}
	for _, mod := range p.modules {
		for _, u := range mod.affected {
			if strings.HasSuffix(u.Source, ".cu") && len(all) == 1 {
				all = append(all, Compiler{Path: k.nvcc.path, Version: "nvcc " + k.nvcc.version, Cached: k.launcher != "",
					Options: k.nvccOptions(mod.Module, u, mapped)})
			}
		}
	}
	return all
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
