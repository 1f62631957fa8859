package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"stepbench/internal/atomicfile"
)

// affected are the units of a module that the changed files are part of, by the
// compiler's own account of what a unit includes. The text of the tree says
// beforehand which units can be affected at all, so that a compiler has to read
// only those.
func (k *kit) affected(ctx context.Context, t Tree, m Module, changed []string, jobs int) ([]Unit, error) {
	reach, err := k.includers(t, changed)
	if err != nil {
		return nil, err
	}
	listing, err := sources(t.Dir)
	if err != nil {
		return nil, err
	}
	s := scanner{k: k, tree: t, listing: hashStrings(listing...)}
	var candidates []Unit
	for _, u := range m.Units {
		if reach[u.Source] {
			candidates = append(candidates, u)
		}
	}
	// A header that is not in the tree: the text has to do.
	throughGenerated := slices.ContainsFunc(changed, func(c string) bool { return filepath.Base(c) == dispatchHeader })
	hits := make([]bool, len(candidates))
	err = parallel(ctx, jobs, len(candidates), func(ctx context.Context, i int) error {
		if slices.Contains(changed, candidates[i].Source) || throughGenerated {
			hits[i] = true
			return nil
		}
		found, err := s.scan(ctx, m, candidates[i])
		hits[i] = slices.ContainsFunc(changed, found.includes)
		if err == nil && hits[i] && found.Missing != "" {
			err = absent(filepath.Join(t.Given, candidates[i].Source), found.Missing)
		}
		return err
	})
	var out []Unit
	for i, u := range candidates {
		if hits[i] {
			out = append(out, u)
		}
	}
	return out, err
}

var (
	includeLine     = regexp.MustCompile(`(?m)^[ \t]*#[ \t]*include[ \t]*["<]([^">\n]+)[">]`)
	computedInclude = regexp.MustCompile(`(?m)^[ \t]*#[ \t]*include[ \t]*[A-Za-z_]`)
)

// includers are the files below csrc that may include one of the changed files,
// directly or not, and the changed files themselves. Too many rather than too
// few: an include counts by the file's name alone, whatever the conditions
// around it, and a file that computes the name may include anything.
func (k *kit) includers(t Tree, changed []string) (map[string]bool, error) {
	files, err := sources(t.Dir)
	if err != nil {
		return nil, err
	}
	texts := map[string]string{}
	for _, file := range files {
		texts[file] = filepath.Join(t.Dir, file)
	}
	if len(k.generated) > 0 { // headers that are not in the tree
		texts[dispatchHeader] = filepath.Join(k.generated[0], dispatchHeader)
	}
	includes := map[string][]string{}
	reach := map[string]bool{}
	for file, path := range texts {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		for _, m := range includeLine.FindAllSubmatch(text, -1) {
			includes[file] = append(includes[file], filepath.Base(string(m[1])))
		}
		if computedInclude.Match(text) {
			reach[file] = true
		}
	}
	for _, c := range changed {
		reach[c] = true
	}
	for grown := true; grown; {
		grown = false
		names := map[string]bool{}
		for file := range reach {
			names[filepath.Base(file)] = true
		}
		for file, included := range includes {
			if !reach[file] && slices.ContainsFunc(included, func(n string) bool { return names[n] }) {
				reach[file], grown = true, true
			}
		}
	}
	return reach, nil
}

// sources lists the files below csrc, sorted.
func sources(tree string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(filepath.Join(tree, "csrc"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			rel, _ := filepath.Rel(tree, path)
			files = append(files, filepath.ToSlash(rel))
		}
		return err
	})
	return files, err
}

// scanner asks the compiler which files of the tree a unit includes, and keeps
// the answers for as long as none of these files changes.
type scanner struct {
	k       *kit
	tree    Tree
	listing string // a new file may be found in place of another
}

// scanned is a kept answer.
type scanned struct {
	Files   map[string]string `json:"files"`             // path below the tree, and its hash
	Missing string            `json:"missing,omitempty"` // a header of another project that is not here
}

func (s scanned) includes(file string) bool { return s.Files[file] != "" }

func (s scanner) scan(ctx context.Context, m Module, u Unit) (scanned, error) {
	unit := filepath.Join(s.tree.Dir, u.Source)
	command := s.k.scanCommand(m, u, unit)
	const format = "1" // of the kept answers
	key := hashStrings(append(command, format, s.tree.Dir, s.listing, s.k.cxxVersion, s.k.nvcc.version)...)
	path := filepath.Join(s.k.cache, "scans", key+".json")
	if kept, ok := s.kept(path); ok {
		return kept, nil
	}
	deps, missing, err := s.ask(ctx, command, s.k.tolerantScan(m, u, unit))
	if err != nil {
		return scanned{}, err
	}
	answer := scanned{Files: map[string]string{}, Missing: missing}
	for _, d := range deps {
		if answer.Files[d], err = hashFile(filepath.Join(s.tree.Dir, d)); err != nil {
			return scanned{}, err
		}
	}
	if missing != "" {
		return answer, nil // it may be there the next time
	}
	text, err := json.Marshal(answer)
	if err == nil {
		err = writeFile(path, text)
	}
	return answer, err
}

func (s scanner) kept(path string) (scanned, bool) {
	text, err := os.ReadFile(path)
	var answer scanned
	if err != nil || json.Unmarshal(text, &answer) != nil {
		return scanned{}, false
	}
	for file, hash := range answer.Files {
		if now, err := hashFile(filepath.Join(s.tree.Dir, file)); err != nil || now != hash {
			return scanned{}, false
		}
	}
	return answer, true
}

// ask runs the compiler. A header of another project that is not here (CUTLASS,
// oneDNN) ends an ordinary scan; the tolerant one goes on without.
func (s scanner) ask(ctx context.Context, command, tolerant []string) (deps []string, missing string, err error) {
	run := func(command []string) (string, string, error) {
		var out, diagnosis bytes.Buffer
		cmd := exec.CommandContext(ctx, command[0], command[1:]...)
		cmd.Stdout, cmd.Stderr = &out, &diagnosis
		err := cmd.Run()
		return out.String(), diagnosis.String(), err
	}
	out, diagnosis, err := run(command)
	if m := missingHeader.FindStringSubmatch(diagnosis); err != nil && m != nil {
		missing = m[2]
		out, diagnosis, err = run(tolerant)
	}
	if ctx.Err() != nil {
		return nil, "", context.Cause(ctx)
	}
	if err != nil {
		return nil, "", &CompileError{"preprocess", s.tree.userPaths(diagnosis)}
	}
	for _, file := range makeRule(out) {
		if rel, err := filepath.Rel(s.tree.Dir, file); err == nil && filepath.IsAbs(file) && filepath.IsLocal(rel) {
			if _, err := os.Stat(file); err == nil {
				deps = append(deps, filepath.ToSlash(rel))
			}
		}
	}
	slices.Sort(deps)
	return slices.Compact(deps), missing, nil
}

// makeRule is the list of prerequisites of a rule as compilers write it:
// backslashes join lines and keep spaces in names.
func makeRule(text string) []string {
	_, text, _ = strings.Cut(strings.ReplaceAll(text, "\\\n", " "), ":")
	const space = "\x00"
	text = strings.ReplaceAll(text, `\ `, space)
	var files []string
	for _, f := range strings.Fields(text) {
		files = append(files, filepath.Clean(strings.ReplaceAll(f, space, " ")))
	}
	return files
}

// parallel runs n tasks, jobs at a time; the first error ends the rest.
func parallel(ctx context.Context, jobs, n int, task func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	slots := make(chan struct{}, max(jobs, 1))
	errs := make([]error, n)
	for i := range n {
		slots <- struct{}{}
		if ctx.Err() != nil {
			<-slots
			break
		}
		wg.Add(1)
		go func() {
			defer func() { <-slots; wg.Done() }()
			if errs[i] = task(ctx, i); errs[i] != nil {
				cancel(errs[i])
			}
		}()
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return errors.Join(errs...)
}

// writeFile writes a file, whole or not at all, and its folder where it is missing.
func writeFile(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return atomicfile.WriteBytes(path, text)
}
