package preset

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"stepbench/engine"
)

// converted are the models that `make model` brings into models/.
var converted = []string{"smollm2-135m-instruct"}

var hubName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*$`)

// Resolve finds the model that name stands for, the first of:
//
//   - a preset, see [Names], whole or as NAME:N cut to its first N layers; its
//     folder is written below cacheDir once and found there later;
//   - a model folder: an absolute path, one that starts with ./ or ../, or any
//     other that exists;
//   - models/NAME below the working folder or the checkout, where `make model`
//     puts real models;
//   - a hub name ORG/NAME, passed through unseen.
//
// Errors name what was asked for and what to ask for instead.
func Resolve(ctx context.Context, name, cacheDir string) (engine.Model, error) {
	if err := ctx.Err(); err != nil {
		return engine.Model{}, err
	}
	if name == "" {
		return engine.Model{}, errors.New("no model given: " + choices())
	}
	base, layers, cutErr := parseCut(name)
	if p, ok := lookup(base); ok {
		if cutErr != nil {
			return engine.Model{}, cutErr
		}
		return p.materialize(ctx, name, layers, cacheDir)
	}
	if isPath(name) {
		return readFolder(name, name)
	}
	if dir := findConverted(name); dir != "" {
		return readFolder(name, dir)
	}
	for _, known := range converted {
		switch {
		case name == known:
			return engine.Model{}, fmt.Errorf("model %q is not in models/: run make model", name)
		case base == known:
			return engine.Model{}, fmt.Errorf("model %q: only presets can be cut to N layers: %s", name, strings.Join(Names(), ", "))
		}
	}
	if hubName.MatchString(name) {
		return engine.Model{Name: name, Path: name}, nil
	}
	return engine.Model{}, unknown(name)
}

// isPath reports whether name means a place on disk, be there something or not.
func isPath(name string) bool {
	if filepath.IsAbs(name) || name == "." || name == ".." {
		return true
	}
	for _, prefix := range []string{"./", "../", "models/"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	_, err := os.Stat(name)
	return err == nil
}

// findConverted gives models/NAME of the working folder, of its checkout or of
// the executable's, "" if none has it.
func findConverted(name string) string {
	if strings.ContainsAny(name, `/\`) {
		return ""
	}
	var roots []string
	if dir, err := os.Getwd(); err == nil {
		roots = append(roots, dir, checkout(dir))
	}
	if exe, err := os.Executable(); err == nil {
		roots = append(roots, checkout(filepath.Dir(exe)))
	}
	for _, root := range roots {
		dir := filepath.Join(root, "models", name)
		if _, err := os.Stat(filepath.Join(dir, "config.json")); root != "" && err == nil {
			return dir
		}
	}
	return ""
}

// checkout is the folder at or above dir that holds stepbench's source, "" if
// there is none.
func checkout(dir string) string {
	for {
		mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(mod), "module stepbench\n") {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return ""
		}
		dir = parent
	}
}

func choices() string {
	return "give a preset (" + strings.Join(Names(), ", ") + "; NAME:N for N layers), " +
		strings.Join(converted, ", ") + " (after make model), a model folder, or a hub name ORG/NAME"
}

// unknown is the error for a name that fits nothing.
func unknown(name string) error {
	base, cut, _ := strings.Cut(name, ":")
	hint := ""
	if near := nearest(base); near != "" {
		if _, ok := lookup(near); ok && cut != "" {
			near += ":" + cut
		}
		hint = fmt.Sprintf("did you mean %q? ", near)
	}
	return fmt.Errorf("unknown model %q: %s%s", name, hint, choices())
}

// nearest is the known name that shares most with name, "" if with each one
// more than half of the longer's letters differ.
func nearest(name string) string {
	best, lowest := "", 0.5
	for _, known := range append(Names(), converted...) {
		edits := editDistance(strings.ToLower(name), known)
		if share := float64(edits) / float64(max(len(name), len(known))); share <= lowest {
			best, lowest = known, share
		}
	}
	return best
}

// editDistance is Levenshtein's: insertions, deletions and substitutions of
// bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substitute := diagonal
			if a[i] != b[j] {
				substitute++
			}
			diagonal = row[j+1]
			row[j+1] = min(substitute, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
