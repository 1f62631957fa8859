package bridge

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Python is a virtual environment, or a plain installation, as its files
// describe it. Nothing is executed to learn this.
type Python struct {
	Executable string // absolute, not resolved: its place decides sys.prefix
	Prefix     string // sys.prefix: the environment
	BasePrefix string // sys.base_prefix: the installation behind it
	Version    string // "3.12.3"; empty if pyvenv.cfg does not say
}

// FindPython finds the interpreter to embed: explicit if not empty, else
// $STEPBENCH_PYTHON, $VIRTUAL_ENV, or the nearest .venv above the working
// directory or above this program.
func FindPython(explicit string) (Python, error) {
	if p := first(explicit, os.Getenv("STEPBENCH_PYTHON")); p != "" {
		return DescribePython(p)
	}
	var tried []string
	if v := os.Getenv("VIRTUAL_ENV"); v != "" {
		tried = append(tried, filepath.Join(v, "bin", "python"))
	}
	tried = append(tried, Above(filepath.Join(".venv", "bin", "python"))...)
	for _, path := range tried {
		if isFile(path) {
			return DescribePython(path)
		}
	}
	return Python{}, notFound("python environment", tried, "run make setup, or set STEPBENCH_PYTHON")
}

// FindShim finds libstepbench.so: explicit if not empty, else $STEPBENCH_SHIM,
// beside this program, or in the nearest out folder above.
func FindShim(explicit string) (string, error) {
	if p := first(explicit, os.Getenv("STEPBENCH_SHIM")); p != "" {
		return filepath.Abs(p)
	}
	var tried []string
	if exe, err := os.Executable(); err == nil {
		tried = append(tried, filepath.Join(filepath.Dir(exe), "libstepbench.so"))
	}
	tried = append(tried, Above(filepath.Join("out", "libstepbench.so"))...)
	for _, path := range tried {
		if isFile(path) {
			return path, nil
		}
	}
	return "", notFound("shim", tried, "run make build, or set STEPBENCH_SHIM")
}

// DescribePython reads what is known about the interpreter at path.
func DescribePython(path string) (Python, error) {
	exe, err := filepath.Abs(path)
	if err != nil {
		return Python{}, err
	}
	real, err := filepath.EvalSymlinks(exe)
	if err == nil && !isFile(real) {
		err = errors.New("not a file")
	}
	if err != nil {
		if cause := errors.Unwrap(err); cause != nil { // without the path, which stands before it
			err = cause
		}
		return Python{}, fmt.Errorf("python %s: %w: set STEPBENCH_PYTHON to a python executable", path, err)
	}
	prefix := filepath.Dir(filepath.Dir(exe))
	cfg, err := os.Open(filepath.Join(prefix, "pyvenv.cfg"))
	if errors.Is(err, os.ErrNotExist) {
		base := filepath.Dir(filepath.Dir(real))
		return Python{Executable: exe, Prefix: base, BasePrefix: base}, nil
	}
	if err != nil {
		return Python{}, err
	}
	defer cfg.Close()
	p := Python{Executable: exe, Prefix: prefix}
	for lines := bufio.NewScanner(cfg); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), "=")
		switch value = strings.TrimSpace(value); strings.TrimSpace(key) {
		case "home": // the folder of the installation's executable
			p.BasePrefix = filepath.Dir(value)
		case "version", "version_info":
			// virtualenv writes "3.12.3.final.0"; only final releases are embedded.
			p.Version = strings.TrimSuffix(value, ".final.0")
		}
	}
	if p.BasePrefix == "" {
		return Python{}, fmt.Errorf("%s has no home line: create the environment again with make setup", cfg.Name())
	}
	return p, nil
}

// CheckPython refuses an environment of another Python build than the shim's:
// its standard library would not match the libpython in this process.
func (l *Library) CheckPython(p Python) error {
	if sameFile(p.BasePrefix, l.BuildPrefix) && (p.Version == "" || p.Version == l.BuildPython) {
		return nil
	}
	return fmt.Errorf("%w: %s belongs to Python %s in %s, shim %s was built for %s in %s: run make build",
		ErrInit, p.Executable, first(p.Version, "(version unknown)"), p.BasePrefix, l.Path, l.BuildPython, l.BuildPrefix)
}

func sameFile(a, b string) bool {
	if a == b {
		return true
	}
	x, err1 := os.Stat(a)
	y, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}

// Above lists name in the working directory and each folder above it, then the
// same for this program's folder.
func Above(name string) []string {
	var starts, paths []string
	if wd, err := os.Getwd(); err == nil {
		starts = append(starts, wd)
	}
	if exe, err := os.Executable(); err == nil {
		starts = append(starts, filepath.Dir(exe))
	}
	for _, dir := range starts {
		for {
			path := filepath.Join(dir, name)
			if slices.Contains(paths, path) {
				break // and so is everything above it
			}
			paths = append(paths, path)
			dir = filepath.Dir(dir)
		}
	}
	return paths
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func notFound(what string, tried []string, remedy string) error {
	return fmt.Errorf("no %s found: %s; looked at %s", what, remedy, strings.Join(tried, ", "))
}
