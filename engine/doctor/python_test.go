package doctor

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"stepbench/bridge"
)

func TestPythonCheck(t *testing.T) {
	good := facts{Implementation: "cpython", Version: "3.12.3", Executable: "/v/bin/python", BasePrefix: "/usr"}
	with := func(change func(*facts)) interpreter {
		f := good
		change(&f)
		return interpreter{facts: f}
	}
	tests := []struct {
		name   string
		in     interpreter
		status Status
		value  string
		detail string
	}{
		{"good", with(func(*facts) {}), OK, "3.12.3", "/v/bin/python of /usr"},
		{"oldest", with(func(f *facts) { f.Version = "3.10.0" }), OK, "3.10.0", ""},
		{"too old", with(func(f *facts) { f.Version = "3.9.18" }), Fail, "3.9.18", "wants Python 3.10 to 3.13"},
		{"too new", with(func(f *facts) { f.Version = "3.14.0" }), Fail, "3.14.0", "wants Python 3.10 to 3.13"},
		{"garbage version", with(func(f *facts) { f.Version = "" }), Fail, "", "wants Python"},
		{"free-threaded", with(func(f *facts) { f.Version, f.FreeThreaded = "3.13.0", true }), Fail, "3.13.0", "free-threaded"},
		{"pypy", with(func(f *facts) { f.Implementation = "pypy" }), Fail, "3.12.3", "not CPython"},
		{"not found", interpreter{findErr: errors.New("no python environment found")}, Fail, "not found", "no python environment"},
		{"does not run", interpreter{askErr: errors.New("exit status 127")}, Fail, "does not run", "127"},
	}
	for _, tt := range tests {
		c := tt.in.pythonCheck()
		if c.Status != tt.status || c.Value != tt.value || !strings.Contains(c.Detail, tt.detail) || (c.Status == Fail) != (c.Remedy != "") {
			t.Errorf("%s: got %+v, want %s, %s, %s", tt.name, c, tt.status, tt.value, tt.detail)
		}
	}
}

func TestShimAndLibpython(t *testing.T) {
	accepts := shim{path: "/o/libstepbench.so", buildPython: "3.12.3", check: func(bridge.Python) error { return nil }}
	refuses := accepts
	refuses.check = func(bridge.Python) error { return errors.New("built for 3.11.2 in /usr") }
	const maps = "7f00-7f01 r-xp 00000000 fe:00 4 /usr/lib/libpython3.12.so.1.0\n"
	tests := []struct {
		name            string
		in              interpreter
		maps            string
		shim, libpython Status
		detail          string
	}{
		{"good", interpreter{shim: accepts}, maps, OK, OK, "for Python 3.12.3"},
		{"other python", interpreter{shim: refuses}, maps, Fail, OK, "built for 3.11.2"},
		{"no python to compare with", interpreter{shim: refuses, known: errors.New("no python")}, maps, OK, OK, ""},
		{"does not load", interpreter{shimErr: errors.New("abi 3, want 4")}, maps, Fail, Absent, "abi 3, want 4"},
		{"no library mapped", interpreter{shim: accepts}, "7f00-7f01 r-xp 00000000 fe:00 4 /bin/x\n", OK, Absent, ""},
		{"no maps", interpreter{shim: accepts}, "", OK, Absent, ""},
	}
	for _, tt := range tests {
		h := emptyHost()
		if tt.maps != "" {
			h.proc = files(map[string]string{"self/maps": tt.maps})
		}
		c, lib := tt.in.shimCheck(), tt.in.libpythonCheck(h)
		if c.Status != tt.shim || lib.Status != tt.libpython || !strings.Contains(c.Detail, tt.detail) || (c.Status == Fail) != (c.Remedy != "") {
			t.Errorf("%s: got %+v and %+v, want %s, %s, %s", tt.name, c, lib, tt.shim, tt.libpython, tt.detail)
		}
	}
}

func TestToolchain(t *testing.T) {
	h := emptyHost()
	h.lookPath = func(name string) (string, error) {
		if name == "clang++" {
			return "/bin/clang++", nil
		}
		return "", errors.New("not in PATH")
	}
	tests := []struct {
		name   string
		cxx    string
		status Status
		value  string
	}{
		{"default missing", "", Warn, "g++ not found"},
		{"chosen", "clang++ -stdlib=libc++", OK, "clang++"},
		{"chosen, missing", "icpx", Warn, "icpx not found"},
		{"blank", " ", Warn, "g++ not found"},
	}
	for _, tt := range tests {
		h.env = env(map[string]string{"CXX": tt.cxx})
		if c := compilerCheck(h); c.Status != tt.status || c.Value != tt.value {
			t.Errorf("%s: got %+v, want %s, %s", tt.name, c, tt.status, tt.value)
		}
	}
	headers := map[string]Status{"/usr/include/python3.12": OK, "": Warn}
	for folder, want := range headers {
		if c := (interpreter{facts: facts{Headers: folder}}).headersCheck(); c.Status != want || (want == Warn) != (c.Remedy != "") {
			t.Errorf("headers in %q: got %+v, want %s", folder, c, want)
		}
	}
}

func TestAskPython(t *testing.T) {
	tests := []struct {
		name, text string
		version    string
		err        string
	}{
		{"answers", `cat >/dev/null; echo '{"version": "3.12.3", "packages": {"vllm": {"version": "0.26.0"}}}'`, "3.12.3", ""},
		{"fails", `echo first >&2; echo last >&2; exit 3`, "", "exit status 3: last"},
		{"talks at length", `printf '%0500d\n' 0 >&2; exit 1`, "", strings.Repeat("0", 300)},
		{"dies", `kill -9 $$`, "", "signal: killed"},
		{"garbage", `echo '{"version": 3'`, "", `answers "{\"version\": 3\n"`},
		{"silence", `true`, "", `answers ""`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := askPython(context.Background(), script(t, tt.text))
			if got.Version != tt.version || !strings.Contains(errText(err), tt.err) || (err == nil) != (tt.err == "") {
				t.Errorf("got %+v, %v; want %s, %s", got, err, tt.version, tt.err)
			}
			if err != nil && len(err.Error()) > 600 {
				t.Errorf("the error has %d characters", len(err.Error()))
			}
		})
	}
	if _, err := askPython(context.Background(), "/nonexistent/python"); err == nil {
		t.Error("a missing executable answers")
	}
}

func TestAskPythonEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(50*time.Millisecond, cancel)
	_, err := askPython(ctx, script(t, "exec sleep 600"))
	if err == nil || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}
