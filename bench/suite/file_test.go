package suite

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParse_Errors(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"syntax", "name = \"x\"\nrates = [1,\n", "s.toml:2:12: "},
		{"unknown key", "name = \"x\"\n\nratess = [1]\n", "s.toml:3: no such key ratess"},
		{"unknown key in a table", "name = \"x\"\n[engine]\neagre = true\n", "s.toml:3: no such key engine.eagre"},
		{"unknown table", "name = \"x\"\n[engines]\neager = true\n", "s.toml:2: no such key engines"},
		{"wrong type", "name = \"x\"\nrepeats = \"three\"\n", "s.toml:2:11: "},
		{"duplicate key", "name = \"x\"\nname = \"y\"\n", "s.toml"},
		{"no name", "repeats = 1\n", `s.toml: name: "": a suite needs a name`},
		{"name with a slash", "repeats = 1\nname = \"a/b\"\n", `s.toml:2: name: "a/b"`},
		{"profile", "name = \"x\"\nprofile = \"slow\"\n", `s.toml:2: profile: "slow" is not quick or standard`},
		{"mode", "name = \"x\"\nmode = \"all\"\n", `s.toml:2: mode: "all" is not sweep or cross`},
		{"negative repeats", "name = \"x\"\n\n\nrepeats = -1\n", "s.toml:4: repeats: -1"},
		{"requests and window", "name = \"x\"\nrequests = 5\nwindow_s = 2.0\n", "s.toml:3: window_s: give requests or window_s"},
		{"warm-up without window", "name = \"x\"\nwarmup_s = 2.0\n", "s.toml:2: warmup_s: it belongs to window_s"},
		{"rate on a later line", "name = \"x\"\nrates = [\n  1.0,\n  -2.0,\n]\n", "s.toml:2: rates: -2"},
		{"infinite rate", "name = \"x\"\nrates = [inf]\n", "s.toml:2: rates: +Inf"},
		{"not a number", "name = \"x\"\nwindow_s = nan\n", "s.toml:2: window_s: NaN"},
		{"pattern", "name = \"x\"\npatterns = [\"poison\"]\n", "s.toml:2: patterns: "},
		{"pattern of the base", "name = \"x\"\n[base]\npattern = \"poison\"\n", "s.toml:3: base.pattern: "},
		{"parallelism", "name = \"x\"\nparallelism = [\"tp=0\"]\n", `s.toml:2: parallelism: "tp=0"`},
		{"service level", "name = \"x\"\nslo = \"ttft=fast\"\n", "s.toml:2: slo: "},
		{"options for another model", "name = \"x\"\n[model.\"gpt2:2\"]\neager = true\n", "s.toml:2: model.gpt2:2: the suite has no such model"},
		{"engine option", "name = \"x\"\n[engine]\nmax_num_seqs = -4\n", "s.toml:3: engine.max_num_seqs: -4"},
		{"sampling", "name = \"x\"\nsample_hz = 5000.0\n", "s.toml:2: sample_hz: 5000"},
		{"two problems", "name = \"x\"\nmode = \"all\"\nrepeats = 1000\n", "s.toml:3: repeats: 1000"},
		{"not text", "name = \"\xff\"\n", "s.toml:1:"},
		{"too long", strings.Repeat("#\n", maxText), "are no suite file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("s.toml", []byte(tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestLoad(t *testing.T) {
	for _, name := range BuiltIns() {
		if f, text, err := Load(name); err != nil || f.Name != name || text == "" {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
	path := filepath.Join(t.TempDir(), "quick")
	if err := os.WriteFile(path, []byte("name = \"mine\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if f, _, err := Load(path); err != nil || f.Name != "mine" {
		t.Errorf("a file named like a built-in suite, by its path: %+v, %v", f, err)
	}
	if _, _, err := Load("qick"); err == nil || !strings.Contains(err.Error(), "quick, full") {
		t.Errorf("error %v must name the suites there are", err)
	}
}

// TestModelOptions: a model's own options win, and what they leave out is the
// suite's.
func TestModelOptions(t *testing.T) {
	f, err := Parse("x.toml", []byte(`
name = "x"
models = ["gpt2"]
[engine]
eager = true
max_num_seqs = 8
args = { a = 1, b = 1 }
[model.gpt2]
eager = false
args = { b = 2 }
`))
	if err != nil {
		t.Fatal(err)
	}
	o := f.Model["gpt2"].over(f.Engine)
	if *o.Eager || o.MaxNumSeqs != 8 || o.Args["a"] != int64(1) || o.Args["b"] != int64(2) {
		t.Errorf("options %+v", o)
	}
}

// FuzzParse: no text makes the parser panic, and one that passes can be laid
// out or refused by name.
func FuzzParse(f *testing.F) {
	for _, name := range BuiltIns() {
		text, _ := builtIn(name)
		f.Add(text)
	}
	f.Add(small)
	f.Add("name = \"x\"\n\"\\u0061b\".c = 1\n")
	f.Add("name = 'x'\nmodels = ['gpt2']\n[model.gpt2]\nargs = { a.b = [1, {c = 2}] }\n")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := Parse("f.toml", []byte(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "f.toml") {
				t.Errorf("error without the file: %v", err)
			}
			return
		}
		if len(file.Models)*len(file.Datasets)*len(file.Rates)*len(file.Patterns) > 1000 {
			return // valid, and slow to lay out
		}
		m, err := NewManifest(file, text, Machine{Config: config})
		if err == nil && m.Suite != file.Name {
			t.Errorf("manifest of %q is %q", file.Name, m.Suite)
		}
	})
}
