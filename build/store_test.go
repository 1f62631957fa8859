package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stepbench/engine"
)

func example(name string) Manifest {
	return Manifest{
		SchemaVersion: SchemaVersion, Name: name, Device: CUDA,
		Source: Source{Tree: "/tree", Commit: "abc-dirty", Version: "0.26.0", Basis: "git v0.26.0", Files: map[string]string{"csrc/a.cu": "00"}, Diff: "11"},
		Units:  []string{"csrc/a.cu"}, Ops: []string{"_C::a", "_C::b"}, Counted: []string{"_C::a"},
		Library: libraryFile, SHA256: map[string]string{},
		Compilers:     []Compiler{{Path: "/usr/bin/g++", Version: "g++ 12.3.0", Options: []string{"-O2"}, Cached: true}},
		Architectures: []string{"9.0"}, TorchVersion: "2.11.0+cu130", VLLMVersion: "0.26.0",
		Kernels:  Kernels{"9.0": {"kernel(int)": "22"}},
		Warnings: []string{"one"}, BuiltUnixNs: 1_700_000_000_000_000_000, Seconds: Seconds{Scan: 1, Compile: 2, Link: 3, Inspect: 4, Total: 10},
	}
}

// kept puts a variant with a library into the store.
func kept(t testing.TB, s Store, m Manifest) Manifest {
	t.Helper()
	staged, err := s.stage(m.Name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(staged, m.Library), []byte("library of "+m.Name), 0o755); err != nil {
		t.Fatal(err)
	}
	if m.SHA256[m.Library], err = hashFile(filepath.Join(staged, m.Library)); err != nil {
		t.Fatal(err)
	}
	if err := m.write(staged); err != nil {
		t.Fatal(err)
	}
	if err := s.keep(m.Name, staged); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestManifestRoundTrip(t *testing.T) {
	s := Store{t.TempDir()}
	want := kept(t, s, example("faster"))
	got, err := s.Manifest("faster")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if err := s.Verify("faster"); err != nil {
		t.Error(err)
	}
}

func TestVariantHasAbsolutePaths(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	s := Store{"variants"}
	m := kept(t, s, example("faster"))
	library := filepath.Join(dir, "variants", "faster", libraryFile)
	want := &engine.Variant{Name: "faster", Library: library, Ops: m.Ops, SHA256: map[string]string{library: m.SHA256[libraryFile]}}
	got, err := s.Variant("faster")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if stock, err := s.Variant(engine.Stock); stock != nil || err != nil {
		t.Errorf("stock is %v, %v", stock, err)
	}
}

func TestVariantOfWholeModules(t *testing.T) {
	m := example("full")
	m.Library, m.Modules, m.SHA256 = "", map[string]string{"vllm._C": "vllm/_C.abi3.so"}, map[string]string{"vllm/_C.abi3.so": "33"}
	got, err := m.Variant("/store/full")
	if err != nil {
		t.Fatal(err)
	}
	if got.Modules["vllm._C"] != "/store/full/vllm/_C.abi3.so" || got.SHA256["/store/full/vllm/_C.abi3.so"] != "33" || got.Library != "" {
		t.Errorf("variant %+v", got)
	}
}

func TestList(t *testing.T) {
	s := Store{filepath.Join(t.TempDir(), "variants")}
	if all, err := s.List(); len(all) != 0 || err != nil {
		t.Errorf("no folder: %v, %v", all, err)
	}
	kept(t, s, example("b"))
	kept(t, s, example("a"))
	kept(t, s, example("a")) // built again: in place of the first
	os.MkdirAll(filepath.Join(s.Dir, "no-variant"), 0o755)
	all, err := s.List()
	if err != nil || len(all) != 2 || all[0].Name != "a" || all[1].Name != "b" {
		t.Errorf("list: %v, %v", all, err)
	}
	if entries, _ := os.ReadDir(s.Dir); len(entries) != 3 {
		t.Errorf("left over in the store: %v", entries)
	}
	os.WriteFile(filepath.Join(s.Dir, "no-variant", manifestFile), []byte("{"), 0o644)
	if all, err := s.List(); err == nil || len(all) != 2 {
		t.Errorf("beside a broken manifest: %d variants, error %v", len(all), err)
	}
}

func TestStore_Errors(t *testing.T) {
	s := Store{t.TempDir()}
	m := kept(t, s, example("changed"))
	os.WriteFile(filepath.Join(s.Dir, "changed", libraryFile), []byte("another"), 0o755)
	kept(t, s, example("empty"))
	os.Remove(filepath.Join(s.Dir, "empty", libraryFile))
	old := example("old")
	old.SchemaVersion = 0
	kept(t, s, old)
	tests := []struct{ name, want string }{
		{"stock", `variant name "stock" is reserved for the kernels that vLLM came with`},
		{"../x", `variant name "../x": want letters, digits, dot, dash or underscore`},
		{"", `variant name ""`},
		{"absent", "no variant absent in " + s.Dir + " (there: changed, empty): build it with stepbench build absent --source TREE"},
		{"changed", "its manifest says " + m.SHA256[libraryFile][:12]},
		{"empty", "no such file"},
		{"old", "has schema version 0, this stepbench reads 1: build the variant again"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := s.Verify(tt.name)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want %q", err, tt.want)
			}
			if _, ok := err.(*InputError); !ok {
				t.Errorf("error is a %T", err)
			}
		})
	}
}

func TestDifferencesSayWhy(t *testing.T) {
	s := Store{t.TempDir()}
	first := kept(t, s, example("first"))
	tests := []struct {
		name   string
		change func(*Manifest)
		want   string // empty: no warning
	}{
		{"same library", func(m *Manifest) { m.SHA256[libraryFile] = first.SHA256[libraryFile] }, ""},
		{"another change", func(m *Manifest) { m.Source.Diff = "99" }, ""},
		{"another tree", func(m *Manifest) { m.Source.Tree = "/elsewhere" }, "the tree's place"},
		{"another compiler", func(m *Manifest) { m.Compilers[0].Version = "g++ 14" }, "the compilers"},
		{"unknown", func(*Manifest) {}, "files outside the change"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := example("second")
			m.SHA256[libraryFile] = "other"
			tt.change(&m)
			got := strings.Join(s.differences(m), "\n")
			if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("warnings %q, want %q", got, tt.want)
			}
		})
	}
}
