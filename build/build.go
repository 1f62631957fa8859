// Package build turns a changed vLLM source tree into a variant: a library that
// registers the changed ops over those of the installed vLLM, with a manifest
// that says what it holds and how it was made.
//
// Only what a change affects is compiled, with the flags that vLLM's own CMake
// files give it. What such a library cannot carry (a changed schema, changed
// CMake files, units that scripts generate) is refused, or built as whole
// modules by vLLM's CMake (Options.Full).
package build

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Options of a build.
type Options struct {
	Name   string
	Source string // vLLM source tree

	// What has changed: against a revision of the tree's repository, the files
	// named, or, with neither, against the unchanged tree in Pristine (default:
	// the nearest out/vllm-source).
	Against  string
	Files    []string
	Pristine string

	Device Device   // default CPU
	Archs  []string // CUDA; default: the present GPU's
	Full   bool     // build whole modules by vLLM's own CMake targets
	Jobs   int      // compilers at a time; default: one for each core
	Python string   // of the environment with torch and vLLM; default: the nearest .venv

	// Progress takes one line for each step.
	Progress func(line string)
}

func (o *Options) fill() error {
	if err := CheckName(o.Name); err != nil {
		return err
	}
	if o.Source == "" {
		return refuse("--source TREE is missing: a vLLM source tree, such as a changed copy of out/vllm-source")
	}
	if o.Against != "" && len(o.Files) > 0 {
		return refuse("--against and --files exclude each other: both say what has changed")
	}
	if o.Device == "" {
		o.Device = CPU
	}
	if o.Device == CPU && len(o.Archs) > 0 {
		return refuse("--arch %s is for --device cuda", strings.Join(o.Archs, ","))
	}
	if o.Jobs <= 0 {
		o.Jobs = runtime.NumCPU()
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	return nil
}

// Build makes a variant and keeps it in the store, over an older one of its
// name. Errors: *InputError, *CompileError, *ToolError; nothing is kept then.
func (s Store) Build(ctx context.Context, opt Options) (Manifest, error) {
	start := time.Now()
	if err := opt.fill(); err != nil {
		return Manifest{}, err
	}
	tree, err := OpenTree(ctx, opt.Source)
	if err != nil {
		return Manifest{}, err
	}
	changes, err := opt.changes(ctx, tree)
	if err != nil {
		return Manifest{}, err
	}
	k, err := newKit(ctx, opt)
	if err != nil {
		return Manifest{}, err
	}
	m, err := k.begin(opt, tree, changes)
	if err != nil {
		return Manifest{}, err
	}
	staged, err := s.stage(opt.Name)
	if err != nil {
		return Manifest{}, err
	}
	defer os.RemoveAll(staged)
	if opt.Full {
		err = k.full(ctx, opt, tree, changes, staged, &m)
	} else {
		err = k.override(ctx, opt, tree, changes, staged, &m)
	}
	if err != nil {
		return Manifest{}, err
	}
	if err := k.inspect(ctx, staged, &m); err != nil {
		return Manifest{}, err
	}
	m.Warnings = append(m.Warnings, s.differences(m)...)
	m.BuiltUnixNs = time.Now().UnixNano()
	m.Seconds.Total = time.Since(start).Seconds()
	if err := m.write(staged); err != nil {
		return Manifest{}, err
	}
	return m, s.keep(opt.Name, staged)
}

func (o Options) changes(ctx context.Context, t Tree) (Changes, error) {
	switch {
	case len(o.Files) > 0:
		return t.named(o.Files)
	case o.Against != "":
		return t.against(ctx, o.Against)
	case o.Pristine != "":
		return t.comparedWith(o.Pristine)
	}
	if dir := nearestPristine(); dir != "" {
		return t.comparedWith(dir)
	}
	return Changes{}, refuse("what has changed in %s is unknown: run make vllm-source for an unchanged tree to compare with, or use --against REV or --files FILE,...", t.Given)
}

// nearestPristine is the unchanged tree that make vllm-source made, empty if
// there is none.
func nearestPristine() string {
	for _, dir := range upward(filepath.Join("out", "vllm-source")) {
		if _, err := os.Stat(filepath.Join(dir, "csrc")); err == nil {
			return dir
		}
	}
	return ""
}

// unchanged says that all files of c are as in the unchanged tree, if there is
// one to compare with.
func (o Options) unchanged(t Tree, c Changes) bool {
	pristine := cmp.Or(o.Pristine, nearestPristine())
	if pristine == "" || len(c.Files) == 0 {
		return false
	}
	for _, file := range c.Files {
		mine, err1 := hashFile(filepath.Join(t.Dir, file))
		theirs, err2 := hashFile(filepath.Join(pristine, file))
		if err1 != nil || err2 != nil || mine != theirs {
			return false
		}
	}
	return true
}

// begin fills what is known before anything is compiled.
func (k *kit) begin(opt Options, t Tree, c Changes) (Manifest, error) {
	m := Manifest{
		SchemaVersion: SchemaVersion, Name: opt.Name, Device: k.device, ISA: k.isa.Name, Architectures: k.archs,
		TorchVersion: k.torchVersion, VLLMVersion: k.vllmVersion, SHA256: map[string]string{},
		Source: Source{Tree: t.Dir, Commit: t.Commit, Version: t.Version, Basis: c.Basis, Diff: c.SHA256, Files: map[string]string{}, Unchanged: opt.unchanged(t, c)},
	}
	installed := releaseNumber.FindString(k.vllmVersion)
	switch {
	case t.Version == "":
		m.Warnings = append(m.Warnings, fmt.Sprintf("the version of vLLM in %s is unknown; the environment has %s", t.Given, k.vllmVersion))
	case t.Version != installed:
		return m, refuse("%s is vLLM %s, the environment has %s: their ops need not fit; use a tree of v%s (make vllm-source)", t.Given, t.Version, k.vllmVersion, installed)
	}
	if k.device == CPU && older(k.cxxVersion, 12, 3) {
		m.Warnings = append(m.Warnings, fmt.Sprintf("vLLM's own CPU build wants g++ 12.3 or newer, this is %s", k.cxxVersion))
	}
	for _, file := range c.Files {
		hash, err := hashFile(filepath.Join(t.Dir, file))
		if err != nil {
			return m, err
		}
		m.Source.Files[file] = hash
	}
	return m, nil
}

// override compiles the affected units and links a library of their ops.
func (k *kit) override(ctx context.Context, opt Options, t Tree, c Changes, staged string, m *Manifest) error {
	phase := time.Now()
	opt.Progress(fmt.Sprintf("%s changed (%s)", strings.Join(c.Files, ", "), c.Basis))
	d, err := k.describe(ctx, t)
	if err != nil {
		return err
	}
	if err := k.generate(ctx, t, d); err != nil {
		return err
	}
	modules, err := k.plan(ctx, t, d, c, opt.Jobs)
	if err != nil {
		return err
	}
	for _, mod := range modules {
		for _, u := range mod.affected {
			m.Units = append(m.Units, u.Source)
		}
	}
	m.Seconds.Scan = time.Since(phase).Seconds()
	opt.Progress(fmt.Sprintf("%s affected: %s", count(len(m.Units), "unit"), strings.Join(m.Units, ", ")))

	phase = time.Now()
	p := &project{k: k, tree: t, dir: k.buildDir(modules[0].Module), target: target(t), jobs: opt.Jobs, log: opt.Progress, modules: modules}
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return err
	}
	unlock, err := lock(ctx, p.dir, opt.Progress)
	if err != nil {
		return err
	}
	defer unlock()
	if err := p.expectOps(); err != nil {
		return err
	}
	if err := p.configure(ctx); err != nil {
		return err
	}
	opt.Progress(p.announce())
	if err := p.make(ctx, "compile", p.target+"_units", p.target+"_registration"); err != nil {
		return k.explain(err)
	}
	m.Seconds.Compile = time.Since(phase).Seconds()

	phase = time.Now()
	if err := p.register(ctx, m); err != nil {
		return err
	}
	if err := p.make(ctx, "link", p.target); err != nil {
		return k.explain(err)
	}
	if m.Borrowed, err = k.borrowed(ctx, p.library(), k.stock(modules)); err != nil {
		return err
	}
	if err := checkSignatures(m.Borrowed, p.registered); err != nil {
		return err
	}
	m.Seconds.Link = time.Since(phase).Seconds()
	m.Library = libraryFile
	m.Compilers = k.compilers(p)
	return copyFile(p.library(), filepath.Join(staged, libraryFile))
}

// target is the CMake target. Variants of one tree, usually successive versions
// of it, share their objects.
func target(t Tree) string { return "tree_" + hashStrings(t.Dir) }

// plan finds the affected units of each module, and refuses what a library of
// overriding ops cannot carry.
func (k *kit) plan(ctx context.Context, t Tree, d Description, c Changes, jobs int) ([]affectedModule, error) {
	for _, file := range c.Files {
		if !strings.HasPrefix(file, "csrc/") {
			return nil, refuse("%s belongs to vLLM's build, not to a kernel%s", file, full)
		}
		if filepath.Base(file) == "torch_bindings.cpp" {
			return nil, refuse("%s declares and registers ops, which an override must leave as they are%s", file, full)
		}
	}
	changed := slices.Clone(c.Files)
	for _, g := range d.Generators {
		if !slices.Contains(c.Files, g) {
			continue
		}
		header := k.generatedBy(g)
		if header == "" {
			return nil, refuse("%s generates sources of its own%s", g, full)
		}
		changed = append(changed, header)
	}
	if err := k.checkGenerated(ctx, t, d, c); err != nil {
		return nil, err
	}
	var out []affectedModule
	for _, mod := range k.modules(d) {
		units, err := k.affected(ctx, t, mod, changed, jobs)
		if err != nil {
			return nil, err
		}
		// The registration unit takes the place of torch_bindings.cpp.
		units = slices.DeleteFunc(units, func(u Unit) bool { return u.Source == mod.bindings() })
		if len(units) > 0 {
			out = append(out, affectedModule{mod, units})
		}
		if err := k.checkLinked(t, d, mod, changed); err != nil {
			return nil, err
		}
	}
	if len(out) == 0 {
		return nil, refuse("no translation unit of vLLM's %s build includes %s: nothing to compile (is --device right?)", k.describeDevice(), strings.Join(c.Files, ", "))
	}
	return out, nil
}

// checkLinked refuses changes that may reach a unit of a library which a module
// is linked from, as dnnl_ext is: it registers nothing.
func (k *kit) checkLinked(t Tree, d Description, m Module, changed []string) error {
	reach, err := k.includers(t, changed)
	if err != nil {
		return err
	}
	for _, other := range d.Modules {
		if !slices.Contains(m.Links, other.Name) {
			continue
		}
		for _, u := range other.Units {
			if reach[u.Source] {
				return refuse("%s, which the change may reach, is part of %s and registers no op%s", u.Source, other.Name, full)
			}
		}
	}
	return nil
}

func (k *kit) describeDevice() string {
	if k.device == CPU {
		return "CPU (" + k.isa.Name + ")"
	}
	return "CUDA (" + strings.Join(k.archs, ", ") + ")"
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
