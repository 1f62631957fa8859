package build

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"stepbench/engine"
)

// Store is the folder that variants are kept in, each in a folder of its name.
type Store struct{ Dir string }

// names are those of folders, CMake targets and tables: nothing to quote.
var names = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// CheckName refuses names that cannot be a variant's.
func CheckName(name string) error {
	if name == engine.Stock {
		return refuse("variant name %q is reserved for the kernels that vLLM came with: choose another", name)
	}
	if !names.MatchString(name) {
		return refuse("variant name %q: want letters, digits, dot, dash or underscore, 64 at most", name)
	}
	return nil
}

func (s Store) dir(name string) string { return filepath.Join(s.Dir, name) }

// Manifest of a variant. Errors: *InputError with the variants that there are.
func (s Store) Manifest(name string) (Manifest, error) {
	if err := CheckName(name); err != nil {
		return Manifest{}, err
	}
	m, err := readManifest(s.dir(name))
	if errors.Is(err, fs.ErrNotExist) {
		return Manifest{}, refuse("no variant %s in %s (there: %s): build it with stepbench build %s --source TREE", name, s.Dir, s.known(), name)
	}
	return m, err
}

func (s Store) known() string {
	all, _ := s.List()
	if len(all) == 0 {
		return "none"
	}
	var known []string
	for _, m := range all {
		known = append(known, m.Name)
	}
	return strings.Join(known, ", ")
}

// Variant is what an engine loads: nil for stock. Its files are compared with
// their hashes first.
func (s Store) Variant(name string) (*engine.Variant, error) {
	if name == engine.Stock {
		return nil, nil
	}
	if err := s.Verify(name); err != nil {
		return nil, err
	}
	m, err := s.Manifest(name)
	if err != nil {
		return nil, err
	}
	v, err := m.Variant(s.dir(name))
	return &v, err
}

// Verify compares a variant's files with the hashes in its manifest.
func (s Store) Verify(name string) error {
	m, err := s.Manifest(name)
	if err != nil {
		return err
	}
	return m.verify(s.dir(name))
}

// List has all variants, by name. Folders without a readable manifest come as
// errors, joined, beside the others.
func (s Store) List() ([]Manifest, error) {
	entries, err := os.ReadDir(s.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []Manifest
	var errs []error
	for _, e := range entries {
		if !e.IsDir() || CheckName(e.Name()) != nil {
			continue
		}
		m, err := readManifest(s.dir(e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // not a variant
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b Manifest) int { return strings.Compare(a.Name, b.Name) })
	return all, errors.Join(errs...)
}

// keep moves a finished variant into its place, over an older one of its name.
func (s Store) keep(name, staged string) error {
	dir, old := s.dir(name), s.dir("."+name+".old")
	if err := os.RemoveAll(old); err != nil {
		return err
	}
	if err := os.Rename(dir, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("replace variant %s: %w", name, err)
	}
	if err := os.Rename(staged, dir); err != nil {
		os.Rename(old, dir)
		return fmt.Errorf("keep variant %s: %w", name, err)
	}
	return os.RemoveAll(old)
}

// stage is a folder beside the variants to build one in.
func (s Store) stage(name string) (string, error) {
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return "", fmt.Errorf("make folder for variants: %w", err)
	}
	dir, err := os.MkdirTemp(s.Dir, "."+name+"-*")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}

// differences says why the same source gave another library than a variant that
// is already here. The same tree gives the same bytes each time.
func (s Store) differences(m Manifest) []string {
	all, _ := s.List() // what cannot be read cannot be compared with
	var out []string
	for _, other := range all {
		same := other.Device == m.Device && other.Source.Diff == m.Source.Diff && slices.Equal(other.Units, m.Units) && other.Library == m.Library
		if !same || other.SHA256[m.Library] == m.SHA256[m.Library] {
			continue
		}
		var why []string
		for _, part := range []struct {
			name   string
			differ bool
		}{
			{"the ISA", other.ISA != m.ISA},
			{"the architectures", !slices.Equal(other.Architectures, m.Architectures)},
			{"torch", other.TorchVersion != m.TorchVersion},
			{"the compilers", !slices.EqualFunc(other.Compilers, m.Compilers, func(a, b Compiler) bool { return a.Path == b.Path && a.Version == b.Version })},
			{"the tree's place, whose hash nvcc puts into names", m.Device == CUDA && other.Source.Tree != m.Source.Tree},
		} {
			if part.differ {
				why = append(why, part.name)
			}
		}
		if len(why) == 0 {
			why = []string{"files outside the change, or this version of stepbench"}
		}
		out = append(out, fmt.Sprintf("variant %s has the same changed files and another library: different are %s", other.Name, strings.Join(why, ", ")))
	}
	return out
}
