package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Changes says which files of a tree differ from vLLM's own.
type Changes struct {
	// Files are paths below the tree, sorted.
	Files []string
	// Basis names what the tree was compared with: "git v0.26.0",
	// "pristine DIR", or "named" where the user named the files.
	Basis string
	// SHA256 is the hash over the paths and contents of Files.
	SHA256 string
}

// changeable are the parts of a tree that decide what is compiled.
var changeable = []string{"csrc", "cmake", "CMakeLists.txt"}

// named are the files that the user names, relative to the tree, to the working
// directory, or absolute.
func (t Tree) named(files []string) (Changes, error) {
	var found []string
	for _, file := range files {
		path, err := t.inside(file)
		if err != nil {
			return Changes{}, err
		}
		found = append(found, path)
	}
	return t.changes(found, "named")
}

func (t Tree) inside(file string) (string, error) {
	tried := []string{filepath.Join(t.Dir, file)}
	if abs, err := filepath.Abs(file); err == nil {
		tried = append([]string{abs}, tried...)
	}
	for _, path := range tried {
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			continue
		}
		if rel, err := filepath.Rel(t.Dir, real); err == nil && filepath.IsLocal(rel) {
			return filepath.ToSlash(rel), nil
		}
	}
	return "", refuse("--files %s: no such file in %s", file, t.Given)
}

// against compares with a revision of the tree's own repository, the working
// tree's files included, tracked or not.
func (t Tree) against(ctx context.Context, revision string) (Changes, error) {
	if t.Commit == "" {
		return Changes{}, refuse("--against %s: %s is not a git checkout: name the changed files with --files", revision, t.Given)
	}
	if _, err := t.git(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", revision+"^{commit}"); err != nil {
		return Changes{}, refuse("--against %s: no such revision in %s", revision, t.Given)
	}
	differing, err := t.git(ctx, append([]string{"diff", "--name-only", "--no-renames", "-z", "--end-of-options", revision, "--"}, changeable...)...)
	if err != nil {
		return Changes{}, fmt.Errorf("git diff in %s: %w", t.Given, err)
	}
	untracked, err := t.git(ctx, append([]string{"ls-files", "--others", "--exclude-standard", "-z", "--"}, changeable...)...)
	if err != nil {
		return Changes{}, fmt.Errorf("git ls-files in %s: %w", t.Given, err)
	}
	return t.changes(nulSeparated(differing+"\x00"+untracked), "git "+revision)
}

func nulSeparated(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == 0 })
}

// comparedWith compares with an unchanged tree of the same version.
func (t Tree) comparedWith(pristine string) (Changes, error) {
	if _, err := os.Stat(filepath.Join(pristine, "csrc")); err != nil {
		return Changes{}, refuse("unchanged tree %s: it has no csrc folder: run make vllm-source, or name the changed files with --files or --against", pristine)
	}
	if sameDir(pristine, t.Dir) {
		return Changes{}, refuse("%s is the unchanged tree itself: edit a copy of it, or name files to compile with --files", t.Given)
	}
	mine, err := contents(t.Dir)
	if err != nil {
		return Changes{}, err
	}
	theirs, err := contents(pristine)
	if err != nil {
		return Changes{}, err
	}
	var files []string
	for path, hash := range mine {
		if theirs[path] != hash {
			files = append(files, path)
		}
	}
	for path := range theirs {
		if _, kept := mine[path]; !kept {
			files = append(files, path)
		}
	}
	return t.changes(files, "pristine "+pristine)
}

// contents hashes the files of a tree that decide what is compiled.
func contents(dir string) (map[string]string, error) {
	hashes := map[string]string{}
	for _, part := range changeable {
		err := filepath.WalkDir(filepath.Join(dir, part), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			rel, _ := filepath.Rel(dir, path)
			rel = filepath.ToSlash(rel)
			if !d.Type().IsRegular() || ignored(rel) {
				return nil
			}
			hashes[rel], err = hashFile(path)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return hashes, nil
}

// ignored are files that vLLM's own build leaves in its source tree, and what
// editors leave.
func ignored(path string) bool {
	base := filepath.Base(path)
	return base == "cpu_attn_dispatch_generated.h" || strings.Contains(path, "__pycache__") ||
		strings.HasPrefix(base, ".") || strings.HasSuffix(base, "~") || strings.HasSuffix(base, ".orig")
}

func (t Tree) changes(files []string, basis string) (Changes, error) {
	files = slices.DeleteFunc(files, ignored)
	slices.Sort(files)
	files = slices.Compact(files)
	if len(files) == 0 {
		return Changes{}, refuse("%s does not differ in csrc from %s: edit a file, or name files to compile with --files", t.Given, strings.TrimPrefix(basis, "git "))
	}
	sum := sha256.New()
	for _, file := range files {
		hash, err := hashFile(filepath.Join(t.Dir, file))
		if errors.Is(err, fs.ErrNotExist) {
			return Changes{}, refuse("%s is gone from %s, which no override can express%s", file, t.Given, full)
		}
		if err != nil {
			return Changes{}, err
		}
		fmt.Fprintf(sum, "%s %s\n", hash, file)
	}
	return Changes{Files: files, Basis: basis, SHA256: hex.EncodeToString(sum.Sum(nil))}, nil
}
