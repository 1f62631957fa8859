package build

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stepbench/internal/golden"
)

func read(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestRegistrations(t *testing.T) {
	for _, name := range []string{"cpu", "stable"} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			for _, r := range registrations(read(t, "testdata/bindings_"+name+".cpp")) {
				fmt.Fprintf(&out, "line %d: %s key %s function %q stable %t conditions %q\n", r.Line, r.Name(), r.Key, r.Function, r.Stable, r.Conditions)
			}
			golden.Check(t, "testdata/registrations_"+name+".txt", out.Bytes())
		})
	}
}

func TestRegistrationUnit(t *testing.T) {
	tests := []struct {
		name      string
		functions []string
	}{
		{"cpu", []string{"four_bit_moe_cpu", "gemm", "cpu_utils::expand", "unrelated"}},
		{"stable", []string{"rms_norm", "quant_out", "swap"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := read(t, "testdata/bindings_"+tt.name+".cpp")
			unit := registrationUnit(bindingsUnit{"csrc/torch_bindings.cpp", text, opsOf(registrations(text), tt.functions)})
			golden.Check(t, "testdata/register_"+tt.name+".cpp", []byte(unit))
		})
	}
}

func TestPreambleEndsBeforeFirstRegistration(t *testing.T) {
	got := preamble("#include \"a.h\"\n// TORCH_LIBRARY in a comment\nvoid f();\nTORCH_LIBRARY(_C, m) {\n}\nvoid g();\n")
	if want := "#include \"a.h\"\n// TORCH_LIBRARY in a comment\nvoid f();\n"; got != want {
		t.Errorf("preamble = %q, want %q", got, want)
	}
}

func TestPreambleClosesConditionals(t *testing.T) {
	got := preamble("#ifdef A\n#endif\n# ifndef B\n#include \"b.h\"\nTORCH_LIBRARY(_C, m) {\n}\n#endif\n")
	if want := "#ifdef A\n#endif\n# ifndef B\n#include \"b.h\"\n#endif\n"; got != want {
		t.Errorf("preamble = %q, want %q", got, want)
	}
}

func TestDispatchKey(t *testing.T) {
	for text, want := range map[string]string{
		"torch::kCPU":                     "CPU",
		"c10::kCUDA":                      "CUDA",
		"c10::DispatchKey::AutogradCPU":   "AutogradCPU",
		"torch::DispatchKey::CompositeXY": "CompositeXY",
		"&kernel":                         "",
		"kFloat":                          "",
	} {
		if got := dispatchKey(lex(text)); got != want {
			t.Errorf("dispatchKey(%s) = %q, want %q", text, got, want)
		}
	}
}

func TestLex(t *testing.T) {
	tests := []struct {
		name, text string
		want       []token
	}{
		{"comments are left out", "a // b\n/* c\n */ d", []token{{word, "a", 1}, {word, "d", 3}}},
		{"string with quotes and comment marks", `f("a \"b\" // c")`, []token{{word, "f", 1}, {mark, "(", 1}, {literal, `a "b" // c`, 1}, {mark, ")", 1}}},
		{"directive with continuation", "#if A && \\\n  B\nx", []token{{directive, "#if A && \\\n  B", 1}, {word, "x", 3}}},
		{"hash within a line is no directive", "a # b", []token{{word, "a", 1}, {mark, "#", 1}, {word, "b", 1}}},
		{"scope", "a::b", []token{{word, "a", 1}, {mark, "::", 1}, {word, "b", 1}}},
		{"unclosed", `"abc`, []token{{literal, "abc", 1}}},
		{"quote character", `'"' x`, []token{{word, "x", 1}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, lex(tt.text), cmp.AllowUnexported(token{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Whatever a source holds, the parser ends, and what it finds is in the text.
func FuzzRegistrations(f *testing.F) {
	for _, name := range []string{"cpu", "stable"} {
		f.Add(read(f, "testdata/bindings_"+name+".cpp"))
	}
	f.Add("TORCH_LIBRARY(a, m) { m.impl(\"x\", &f")
	f.Add("TORCH_LIBRARY_IMPL(a, CPU, m) {{ m.def(\"x() -> ()\", {(}) }")
	f.Add("#if\n#elif\n#endif\n#endif\nTORCH_LIBRARY(")
	f.Fuzz(func(t *testing.T, text string) {
		for _, r := range registrations(text) {
			last := r.Function[strings.LastIndex(r.Function, ":")+1:]
			if r.Op == "" || !strings.Contains(text, last) || strings.ContainsAny(r.Function, "() \n") {
				t.Errorf("registration %+v is not in the text", r)
			}
		}
		head := preamble(text)
		for strings.HasSuffix(head, "#endif\n") && !strings.HasPrefix(text, head) {
			head = strings.TrimSuffix(head, "#endif\n")
		}
		if !strings.HasPrefix(text, head) {
			t.Error("the preamble is not the text's beginning")
		}
	})
}
