package input

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Expand replaces patterns by the files they match, in order of their names.
// A path that exists is itself, whatever characters it has.
func Expand(args []string) ([]string, error) {
	if len(args) == 0 {
		return nil, errors.New("no input: give files, patterns or -")
	}
	var paths []string
	seen := map[string]bool{}
	for _, arg := range args {
		found, err := expand(arg)
		if err != nil {
			return nil, err
		}
		for _, p := range found {
			if seen[p] {
				return nil, fmt.Errorf("input %s is given twice", p)
			}
			seen[p] = true
			paths = append(paths, p)
		}
	}
	return paths, nil
}

func expand(arg string) ([]string, error) {
	if arg == Stdin {
		return []string{arg}, nil
	}
	info, err := os.Stat(arg)
	switch {
	case err == nil && info.IsDir():
		return nil, fmt.Errorf("input %s is a folder: give %s", arg, filepath.Join(arg, "*.jsonl"))
	case err == nil:
		return []string{filepath.Clean(arg)}, nil
	case !strings.ContainsAny(arg, "*?["):
		return nil, fmt.Errorf("input: %w", err)
	}
	matches, err := filepath.Glob(arg)
	if err != nil {
		return nil, fmt.Errorf("input %s: %w", arg, err)
	}
	var files []string
	for _, m := range matches {
		if info, err := os.Stat(m); err == nil && !info.IsDir() {
			files = append(files, filepath.Clean(m))
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("input %s: no file matches", arg)
	}
	return files, nil
}
