package build

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Description is what vLLM's CMake files would compile for a device.
type Description struct {
	Modules []Module
	// Generators are scripts that write sources below their own folder.
	Generators []string
}

// Module is one extension module: "_C_AVX2", "_C_stable_libtorch".
type Module struct {
	Name     string
	Units    []Unit
	Includes []string // absolute
	Defines  []string // without -D
	CXX      []string // options of .cpp units
	CUDA     []string // options of .cu units
	Links    []string // libraries and other targets
}

// Unit is one translation unit with what it gets besides its module's options.
type Unit struct {
	Source string // below the tree
	CXX    []string
	CUDA   []string
}

// bindings is the unit in which the module registers its ops.
func (m Module) bindings() string {
	for _, u := range m.Units {
		if filepath.Base(u.Source) == "torch_bindings.cpp" {
			return u.Source
		}
	}
	return ""
}

// describe evaluates vLLM's CMake files by csrc/override/describe.cmake.
func (k *kit) describe(ctx context.Context, t Tree) (Description, error) {
	scratch, err := os.MkdirTemp("", "stepbench-describe-*")
	if err != nil {
		return Description{}, err
	}
	defer os.RemoveAll(scratch)
	out := filepath.Join(scratch, "description")
	args := []string{"-DOUT=" + out, "-DDEVICE=" + string(k.device), "-DSCRATCH=" + scratch,
		"-DPYTHON=" + k.python, "-DPYTHON_VERSION=" + k.pythonVersion, "-DTORCH=" + k.torch, "-DPROCESSOR=" + k.processor}
	if k.device == CUDA {
		args = append(args, "-DCUDA_VERSION="+k.nvcc.version, "-DARCHS="+strings.Join(k.archs, ";"))
	}
	args = append(args, "-P", filepath.Join(k.project, "describe.cmake"))
	cmd := exec.CommandContext(ctx, k.cmake, args...)
	cmd.Dir = t.Dir
	if text, err := cmd.CombinedOutput(); err != nil {
		if ctx.Err() != nil {
			return Description{}, context.Cause(ctx)
		}
		return Description{}, refuse("vLLM's CMake files in %s cannot be evaluated%s\n%s", t.Given, full, t.userPaths(string(text)))
	}
	text, err := os.ReadFile(out)
	if err != nil {
		return Description{}, err
	}
	return parseDescription(string(text), t.Dir)
}

// parseDescription reads the lines that describe.cmake writes.
func parseDescription(text, tree string) (Description, error) {
	p := describer{tree: tree, modules: map[string]*Module{}, sources: map[string]*Unit{}}
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if err := p.line(strings.Split(lines.Text(), "\t")); err != nil {
			return Description{}, err
		}
	}
	if err := lines.Err(); err != nil {
		return Description{}, fmt.Errorf("description of the build: %w", err)
	}
	return p.result(), nil
}

type describer struct {
	tree       string
	order      []string
	modules    map[string]*Module
	sources    map[string]*Unit // properties by source
	generators []string
}

func (p *describer) line(fields []string) error {
	if len(fields) < 2 {
		return fmt.Errorf("description of the build: line %q has too few fields", strings.Join(fields, " "))
	}
	kind, name, rest := fields[0], fields[1], fields[2:]
	var list []string
	if len(rest) > 0 {
		list = nonEmpty(strings.Split(rest[0], ";"))
	}
	switch kind {
	case "unit":
		p.module(name).Units = append(p.module(name).Units, Unit{Source: p.relative(strings.Join(list, ""))})
	case "include":
		for _, dir := range list {
			if !filepath.IsAbs(dir) {
				dir = filepath.Join(p.tree, dir)
			}
			p.module(name).Includes = append(p.module(name).Includes, dir)
		}
	case "define":
		for _, d := range list {
			p.module(name).Defines = append(p.module(name).Defines, strings.TrimPrefix(d, "-D"))
		}
	case "option":
		m := p.module(name)
		addOptions(list, &m.CXX, &m.CUDA)
	case "link":
		p.module(name).Links = unique(append(p.module(name).Links, list...))
	case "source":
		p.property(p.relative(name), rest)
	case "generator":
		p.generators = append(p.generators, p.relative(name))
	default:
		return fmt.Errorf("description of the build: unknown line %q", kind)
	}
	return nil
}

// property takes the options that vLLM gives to one source file.
func (p *describer) property(source string, fields []string) {
	u := p.sources[source]
	if u == nil {
		u = &Unit{}
		p.sources[source] = u
	}
	if len(fields) < 2 {
		return
	}
	var values []string
	for _, f := range fields[1:] {
		values = append(values, strings.FieldsFunc(f, func(r rune) bool { return r == ';' || r == ' ' })...)
	}
	switch fields[0] {
	case "COMPILE_OPTIONS", "COMPILE_FLAGS":
		addOptions(values, &u.CXX, &u.CUDA)
	case "INCLUDE_DIRECTORIES":
		for _, dir := range values {
			u.CXX, u.CUDA = append(u.CXX, "-I"+dir), append(u.CUDA, "-I"+dir)
		}
	}
}

// addOptions sorts options by language. A generator expression comes as several
// values: "$<$<COMPILE_LANGUAGE:CUDA>:-a", "-b>".
func addOptions(values []string, cxx, cuda *[]string) {
	language := ""
	for _, v := range values {
		for _, l := range []string{"CXX", "CUDA"} {
			if cut, ok := strings.CutPrefix(v, "$<$<COMPILE_LANGUAGE:"+l+">:"); ok {
				language, v = l, cut
			}
		}
		ends := language != "" && strings.HasSuffix(v, ">")
		if ends {
			v = strings.TrimSuffix(v, ">")
		}
		if v != "" && language != "CUDA" {
			*cxx = append(*cxx, v)
		}
		if v != "" && language != "CXX" {
			*cuda = append(*cuda, v)
		}
		if ends {
			language = ""
		}
	}
}

func (p *describer) module(name string) *Module {
	m := p.modules[name]
	if m == nil {
		m = &Module{Name: name}
		p.modules[name] = m
		p.order = append(p.order, name)
	}
	return m
}

func (p *describer) relative(path string) string {
	if rel, err := filepath.Rel(p.tree, path); err == nil && filepath.IsAbs(path) {
		return filepath.ToSlash(rel)
	}
	return path
}

// result gives every module what holds for all of them, and every unit the
// properties of its source.
func (p *describer) result() Description {
	d := Description{Generators: p.generators}
	common := p.modules["*"]
	for _, name := range p.order {
		m := *p.modules[name]
		if name == "*" {
			continue
		}
		if common != nil {
			m.Includes = append(slices.Clone(common.Includes), m.Includes...)
			m.Defines = append(slices.Clone(common.Defines), m.Defines...)
		}
		m.Includes = unique(m.Includes)
		m.Defines = unique(m.Defines)
		var units []Unit
		for _, u := range m.Units {
			if slices.ContainsFunc(units, func(other Unit) bool { return other.Source == u.Source }) {
				continue // listed twice, as csrc/libtorch_stable/moe/moe_wna16.cu
			}
			if own := p.sources[u.Source]; own != nil {
				u.CXX, u.CUDA = own.CXX, uniqueGencodes(own.CUDA)
			}
			units = append(units, u)
		}
		m.Units = units
		d.Modules = append(d.Modules, m)
	}
	return d
}

// uniqueGencodes drops repeated pairs of "-gencode" and its value: a source
// listed twice gets its architectures twice, which nvcc refuses.
func uniqueGencodes(options []string) []string {
	var out, seen []string
	for i := 0; i < len(options); i++ {
		if options[i] == "-gencode" && i+1 < len(options) {
			if !slices.Contains(seen, options[i+1]) {
				seen = append(seen, options[i+1])
				out = append(out, options[i], options[i+1])
			}
			i++
			continue
		}
		out = append(out, options[i])
	}
	return out
}

func unique(values []string) []string {
	var out []string
	for _, v := range values {
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

func nonEmpty(values []string) []string {
	return slices.DeleteFunc(values, func(v string) bool { return v == "" })
}
