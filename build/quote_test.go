package build

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stepbench/bridge"
)

// TestBuildQuotes compiles a source whose path and flags are what a shell, make and
// CMake would act on: nothing of it runs, and the program sees the text as it is.
func TestBuildQuotes(t *testing.T) {
	k := compilerOnly(t)
	dir := t.TempDir()
	const touch = "touch trace" // in the folder in which a command runs
	for i, name := range []string{
		"plain", "two words", "`" + touch + "`", "'" + touch + "'", `"` + touch + `"`, "a&&" + touch, "${HOME}", "$ENV{HOME}", "@HOME@", "a#b", "a,b", "(a)", "$" + touch, "$$", "~", "*", "a%b",
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			tree := filepath.Join(t.TempDir(), name)
			source := filepath.Join(tree, "csrc", "cpu", "unit.cpp")
			const text = "extern \"C\" const char* stepbench_text() { return TEXT; }\n"
			for path, text := range map[string]string{source: text, filepath.Join(tree, "csrc", "cpu", "torch_bindings.cpp"): ""} {
				if err := writeFile(path, []byte(text)); err != nil {
					t.Fatal(err)
				}
			}
			p := &project{
				k: k, tree: Tree{Dir: tree, Given: tree}, dir: dir, target: "v_quotes", jobs: 1, log: func(string) {},
				modules: []affectedModule{{
					Module{Name: "_C", Units: []Unit{{Source: "csrc/cpu/torch_bindings.cpp"}}, Defines: []string{`TEXT="` + strings.ReplaceAll(name, `"`, `\"`) + `"`}},
					[]Unit{{Source: "csrc/cpu/unit.cpp"}},
				}},
			}
			if err := writeFile(p.registration(p.modules[0].Module), nil); err != nil {
				t.Fatal(err)
			}
			if err := p.configure(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := p.make(t.Context(), "compile", p.target+"_units"); err != nil {
				t.Fatal(err)
			}
			objects, err := p.objects()
			if err != nil {
				t.Fatal(err)
			}
			code, err := os.ReadFile(objects["csrc/cpu/unit.cpp"])
			if err != nil || !strings.Contains(string(code), name+"\x00") {
				t.Errorf("the compiler was given another text than %q: %v", name, err)
			}
			for _, dir := range []string{".", p.dir, tree} {
				if _, err := os.Stat(filepath.Join(dir, "trace")); err == nil {
					t.Errorf("the build ran what is in a path, in %s", dir)
				}
			}
		})
	}
}

// TestOpenTree_Unquotable: what CMake passes on to ninja as it is, is refused.
func TestOpenTree_Unquotable(t *testing.T) {
	for _, name := range []string{"$(touch trace)", "a|touch trace", "a;b", "a[b", `a\b`, "a\nb"} {
		dir := filepath.Join(t.TempDir(), name)
		if err := writeFile(filepath.Join(dir, "CMakeLists.txt"), nil); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenTree(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "move it to a folder without them") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// compilerOnly is a kit without torch and vLLM: it compiles what needs neither.
func compilerOnly(t *testing.T) *kit {
	t.Helper()
	k := &kit{device: CUDA, torch: "/nonexistent/torch", packages: "/nonexistent", nvcc: nvcc{path: "/nonexistent/nvcc"}}
	python, err := bridge.FindPython("")
	if err == nil {
		k.python = python.Executable
		err = k.findTools(t.Context())
	}
	if err != nil {
		t.Skip(err)
	}
	if k.project, err = projectDir(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	return k
}
