package build

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"stepbench/engine"
)

// SchemaVersion of manifests that this version writes and reads.
const SchemaVersion = 1

// Manifest says what a variant is and how it came about. Paths of files that
// belong to the variant are relative to its folder, so that it can be moved.
type Manifest struct {
	SchemaVersion int    `json:"schema_version"`
	Name          string `json:"name"`
	Device        Device `json:"device"`

	Source  Source   `json:"source"`
	Units   []string `json:"units"`   // compiled, paths below the tree
	Ops     []string `json:"ops"`     // registered, "_C::rotary_embedding"
	Counted []string `json:"counted"` // those of Ops whose calls the library counts
	// Borrowed are functions of unaffected units that Library takes from the
	// environment's own module, whose path it therefore holds.
	Borrowed []string `json:"borrowed,omitempty"`

	// Library is the file of overriding ops; Modules are whole modules, by the
	// module's name ("vllm._C"), of a --full build. Either, not both.
	Library string            `json:"library,omitempty"`
	Modules map[string]string `json:"modules,omitempty"`
	SHA256  map[string]string `json:"sha256"` // by path

	Compilers     []Compiler `json:"compilers"`
	ISA           string     `json:"isa,omitempty"`           // CPU: "AVX2"
	Architectures []string   `json:"architectures,omitempty"` // CUDA: "9.0"
	TorchVersion  string     `json:"torch_version"`
	VLLMVersion   string     `json:"vllm_version"` // of the environment

	// Kernels tell which device code changed. Nil where there is none or no
	// cuobjdump was found: unknown, not unchanged.
	Kernels Kernels `json:"kernels,omitempty"`

	Warnings    []string `json:"warnings,omitempty"`
	BuiltUnixNs int64    `json:"built_unix_ns"`
	Seconds     Seconds  `json:"seconds"`
}

// Source is the tree that a variant was built from.
type Source struct {
	Tree    string            `json:"tree"`
	Commit  string            `json:"commit,omitempty"`
	Version string            `json:"version,omitempty"` // of vLLM
	Basis   string            `json:"basis"`             // what Files differ from
	Files   map[string]string `json:"files"`             // changed, path below the tree and SHA-256
	Diff    string            `json:"diff_sha256"`       // over Files
	// Unchanged: the files named are those of the unchanged tree, so that the
	// variant is vLLM's own code, compiled again.
	Unchanged bool `json:"unchanged,omitempty"`
}

// Compiler is one compiler that took part.
type Compiler struct {
	Path    string   `json:"path"`
	Version string   `json:"version"`
	Options []string `json:"options"`
	Cached  bool     `json:"ccache"` // through ccache
}

// Seconds is where the time of a build went.
type Seconds struct {
	Scan    float64 `json:"scan_s"`    // find changed files and affected units
	Compile float64 `json:"compile_s"` // the units, the precompiled header included
	Link    float64 `json:"link_s"`    // registration and linking
	Inspect float64 `json:"inspect_s"` // hashes of the library and of kernels
	Total   float64 `json:"total_s"`
}

const (
	manifestFile = "manifest.json"
	libraryFile  = "override.so"
)

// Variant is the engine's view of the variant in dir, with absolute paths.
func (m Manifest) Variant(dir string) (engine.Variant, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return engine.Variant{}, err
	}
	v := engine.Variant{Name: m.Name, SHA256: map[string]string{}, Ops: slices.Clone(m.Ops)}
	if m.Library != "" {
		v.Library = filepath.Join(dir, m.Library)
	}
	for module, file := range m.Modules {
		if v.Modules == nil {
			v.Modules = map[string]string{}
		}
		v.Modules[module] = filepath.Join(dir, file)
	}
	for file, hash := range m.SHA256 {
		v.SHA256[filepath.Join(dir, file)] = hash
	}
	return v, nil
}

// write puts the manifest into dir.
func (m Manifest) write(dir string) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, manifestFile), append(text, '\n'))
}

// readManifest reads and checks the manifest in dir.
func readManifest(dir string) (Manifest, error) {
	path := filepath.Join(dir, manifestFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return Manifest{}, err
	}
	var m Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return Manifest{}, refuse("%s: %w: build the variant again", path, err)
	}
	if m.SchemaVersion != SchemaVersion {
		return Manifest{}, refuse("%s has schema version %d, this stepbench reads %d: build the variant again", path, m.SchemaVersion, SchemaVersion)
	}
	if m.Name == "" || m.Library == "" && len(m.Modules) == 0 {
		return Manifest{}, refuse("%s names no variant or no library: build it again", path)
	}
	return m, nil
}

// verify compares the variant's files with their hashes.
func (m Manifest) verify(dir string) error {
	var errs []error
	for file, want := range m.SHA256 {
		got, err := hashFile(filepath.Join(dir, file))
		if err == nil && got != want {
			err = fmt.Errorf("%s has sha256 %s, its manifest says %s", filepath.Join(dir, file), got[:12], want[:min(12, len(want))])
		}
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return refuse("variant %s is not what was built: %w: build it again", m.Name, err)
	}
	return nil
}
