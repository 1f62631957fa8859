package build

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// attentionDispatch is the one script of vLLM's that generates a header; the
// others generate translation units.
const (
	attentionDispatch = "csrc/cpu/generate_cpu_attn_dispatch.py"
	dispatchHeader    = "cpu_attn_dispatch_generated.h"
)

// generatedBy is the header that a script makes, as a path below csrc that
// stands for it among changed files; empty for scripts that make units.
func (k *kit) generatedBy(script string) string {
	if script == attentionDispatch {
		return "csrc/cpu/" + dispatchHeader
	}
	return ""
}

// generate makes the headers that vLLM's CMake would, in a folder of the cache
// instead of the user's tree. The scripts write beside themselves, so a copy runs.
func (k *kit) generate(ctx context.Context, t Tree, d Description) error {
	for _, script := range d.Generators {
		if k.generatedBy(script) == "" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(t.Dir, script))
		if err != nil {
			return err
		}
		dir := filepath.Join(k.cache, "generated-"+hashStrings(string(text), k.pythonVersion))
		header := filepath.Join(dir, dispatchHeader)
		if _, err := os.Stat(header); err != nil {
			copied := filepath.Join(dir, filepath.Base(script))
			if err := writeFile(copied, text); err != nil {
				return err
			}
			if out, err := exec.CommandContext(ctx, k.python, copied).CombinedOutput(); err != nil {
				return refuse("%s fails: %w\n%s", filepath.Join(t.Given, script), err, out)
			}
		}
		made, err := os.ReadFile(header)
		if err != nil {
			return refuse("%s made no %s%s", script, dispatchHeader, full)
		}
		// A build in the tree leaves the header there, where it would be found first.
		left := filepath.Join(t.Dir, filepath.Dir(script), dispatchHeader)
		if old, err := os.ReadFile(left); err == nil && string(old) != string(made) {
			return refuse("%s is not what %s makes now: remove it", filepath.Join(t.Given, filepath.Dir(script), dispatchHeader), filepath.Base(script))
		}
		use(dir)
		k.generated = []string{dir, filepath.Dir(left)}
	}
	return nil
}

// checkGenerated refuses changes that reach translation units which scripts
// generate: vLLM's CMake makes hundreds of them, and they are not in the tree.
// They include headers of their script's folder, so these stand for them.
func (k *kit) checkGenerated(ctx context.Context, t Tree, d Description, c Changes) error {
	reach, err := k.includers(t, c.Files)
	if err != nil {
		return err
	}
	s := scanner{k: k, tree: t}
	for _, script := range d.Generators {
		if k.generatedBy(script) != "" {
			continue
		}
		module := k.moduleOf(d, script)
		headers, _ := filepath.Glob(filepath.Join(t.Dir, filepath.Dir(script), "*.*h"))
		for _, path := range headers {
			rel, _ := filepath.Rel(t.Dir, path)
			if !reach[filepath.ToSlash(rel)] {
				continue
			}
			found, err := s.scan(ctx, module, Unit{Source: rel})
			if err != nil {
				return err
			}
			if i := slices.IndexFunc(c.Files, found.includes); i >= 0 {
				return refuse("%s is part of %s, from which %s generates translation units%s", c.Files[i], rel, filepath.Base(script), full)
			}
		}
	}
	return nil
}

// moduleOf is the module that a script's units go into.
func (k *kit) moduleOf(d Description, script string) Module {
	want := "_C_stable_libtorch"
	if strings.Contains(script, "/moe/") {
		want = "_moe_C_stable_libtorch"
	}
	for _, m := range d.Modules {
		if m.Name == want {
			return m
		}
	}
	return Module{}
}
