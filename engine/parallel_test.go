package engine_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stepbench/engine"
)

func TestShareCPUs(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		cpus  string
		ranks int
		want  string
	}{
		{"[0]", 1, "[[0]]"},
		{"[0 1]", 2, "[[0] [1]]"},
		{"[0 1]", 4, "[[0] [1] [0] [1]]"},
		{"[3 7]", 3, "[[3] [7] [3]]"},
		{"[0 1 2]", 2, "[[0] [1]]"}, // one for the scheduler
		{"[0 1 2 3]", 2, "[[0] [1]]"},
		{"[0 1 2 3 4]", 2, "[[0 1] [2 3]]"},
		{"[0 8 1 9 2 10 3 11]", 2, "[[0 8 1] [9 2 10]]"},
		{"[0 1 2 3]", 1, "[[0 1 2]]"},
	} {
		var cpus []int
		for _, field := range strings.Fields(strings.Trim(test.cpus, "[]")) {
			var n int
			fmt.Sscan(field, &n)
			cpus = append(cpus, n)
		}
		if got := fmt.Sprint(engine.ShareCPUs(cpus, test.ranks)); got != test.want {
			t.Errorf("%d ranks on %s: %s, want %s", test.ranks, test.cpus, got, test.want)
		}
	}
}

func TestByCore(t *testing.T) {
	t.Parallel()
	sysfs := t.TempDir()
	// Two sockets of two cores, whose second threads are numbered last.
	for cpu, place := range [][2]int{{0, 0}, {0, 1}, {1, 0}, {1, 1}, {0, 0}, {0, 1}, {1, 0}, {1, 1}} {
		dir := filepath.Join(sysfs, fmt.Sprintf("cpu%d/topology", cpu))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for i, name := range []string{"physical_package_id", "core_id"} {
			if err := os.WriteFile(filepath.Join(dir, name), fmt.Appendln(nil, place[i]), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if diff := cmp.Diff([]int{0, 4, 1, 5, 2, 6, 3, 7}, engine.ByCore([]int{0, 1, 2, 3, 4, 5, 6, 7}, sysfs)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if diff := cmp.Diff([]int{2, 5}, engine.ByCore([]int{5, 2}, t.TempDir())); diff != "" {
		t.Errorf("without sysfs: -want +got\n%s", diff)
	}
}

func TestCheckParallel(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		cfg  engine.Config
		want string
	}{
		{"one device", engine.Config{}, ""},
		{"two", engine.Config{TP: 2}, ""},
		{"four", engine.Config{TP: 2, PP: 2, Executor: engine.ExecutorMP}, ""},
		{"one rank of its own", engine.Config{Executor: engine.ExecutorMP}, ""},
		{"ray", engine.Config{TP: 8, PP: 2, Executor: engine.ExecutorRay}, ""},
		{"negative", engine.Config{TP: -1}, "tp=-1"},
		{"unknown", engine.Config{Executor: "mpi"}, `executor "mpi" is not one of [uni mp ray]`},
		{"uni", engine.Config{PP: 2, Executor: engine.ExecutorUni}, "tp=1 and pp=2 need 2: choose mp"},
		{"past us", engine.Config{Extra: map[string]any{"tensor_parallel_size": 2}}, "give tp"},
		{"variant elsewhere", engine.Config{TP: 2, Executor: engine.ExecutorRay, Variant: &engine.Variant{Name: "x"}}, "ranks of this host"},
	} {
		err := test.cfg.CheckParallel()
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", test.name, err, test.want)
		}
	}
}

// vLLM refuses Ray on a CPU after minutes of starting; here nothing is started.
func TestRayOnCPU(t *testing.T) {
	t.Parallel()
	cfg := engine.Config{TP: 2, Executor: engine.ExecutorRay}
	if err := engine.CheckPlatform(&cfg, true); err == nil || !strings.Contains(err.Error(), "current platform cpu does not support ray") {
		t.Errorf("error %v", err)
	}
	if err := engine.CheckPlatform(&cfg, false); err != nil {
		t.Errorf("on CUDA: %v", err)
	}
	cfg.Executor = ""
	if err := engine.CheckPlatform(&cfg, true); err != nil {
		t.Errorf("mp: %v", err)
	}
}

func TestRankEnv(t *testing.T) {
	for _, key := range []string{"VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS", "VLLM_WORKER_SHUTDOWN_TIMEOUT_SECONDS", "VLLM_CPU_OMP_THREADS_BIND", "OMP_NUM_THREADS", "CUDA_DEVICE_ORDER", "CUDA_VISIBLE_DEVICES"} {
		t.Setenv(key, "")
	}
	opt := engine.WorkerOptions{StepTimeout: time.Hour}
	four := engine.Config{TP: 2, PP: 2}
	want := []string{"VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS=3660", "VLLM_WORKER_SHUTDOWN_TIMEOUT_SECONDS=2", "VLLM_CPU_OMP_THREADS_BIND=0|1|0|1", "OMP_NUM_THREADS=1"}
	if diff := cmp.Diff(want, engine.RankEnv(&four, opt, []int{0, 1})); diff != "" {
		t.Errorf("CPU: -want +got\n%s", diff)
	}
	want = []string{"VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS=3660", "VLLM_WORKER_SHUTDOWN_TIMEOUT_SECONDS=2", "CUDA_DEVICE_ORDER=PCI_BUS_ID", "CUDA_VISIBLE_DEVICES=0,1,2,3"}
	if diff := cmp.Diff(want, engine.RankEnv(&four, opt, nil)); diff != "" {
		t.Errorf("CUDA: -want +got\n%s", diff)
	}
	t.Setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
	t.Setenv("VLLM_CPU_OMP_THREADS_BIND", "0-3|4-7")
	if got := strings.Join(engine.RankEnv(&four, opt, nil), " "); strings.Contains(got, "VISIBLE") {
		t.Errorf("the user's devices were replaced: %s", got)
	}
	if got := strings.Join(engine.RankEnv(&engine.Config{TP: 2}, opt, []int{0, 1, 2, 3, 4}), " "); strings.Contains(got, "BIND") || !strings.Contains(got, "OMP_NUM_THREADS=2") {
		t.Errorf("environment %s", got)
	}
}

// What a killed rank leaves is found by the tag, and nothing else is.
func TestFootprint(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	tag, env, remove, err := engine.NewFootprint()
	if err != nil {
		t.Fatal(err)
	}
	if len(tag) != len("/sb1234567")-1 {
		t.Errorf("tag %q is longer than Python's shared memory allows", tag)
	}
	if _, err := os.Stat(engine.SharedMemory); err != nil {
		t.Skip(err)
	}
	sockets := filepath.Join(os.TempDir(), tag)
	if diff := cmp.Diff([]string{"STEPBENCH_TAG=" + tag, "VLLM_RPC_BASE_PATH=" + sockets}, env); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	other := filepath.Join(engine.SharedMemory, "not-"+tag)
	t.Cleanup(func() { os.Remove(other) })
	left := []string{
		filepath.Join(engine.SharedMemory, tag+"1a2b"), filepath.Join(engine.SharedMemory, "sem."+tag+"-x"),
		filepath.Join(engine.SharedMemory, tag+"-23456-tp:0-[0-1]-cpushm_0"), filepath.Join(sockets, "socket"),
	}
	for _, path := range append(left, other) {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	remove()
	for _, path := range append(left, sockets) {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s is left", path)
		}
	}
	if _, err := os.Stat(other); err != nil {
		t.Errorf("another's file: %v", err)
	}
}

// Each rank's last words are kept, however much the others say.
func TestLogTailOfRanks(t *testing.T) {
	t.Parallel()
	lines := []string{"opening", "(Worker pid=7) loading", "(Worker_TP1 pid=8) out of memory"}
	for i := range 50 {
		lines = append(lines, fmt.Sprintf("(Worker_TP0 pid=7) line %d", i), fmt.Sprintf("engine %d", i))
	}
	got := engine.LogTail(lines)
	if len(got) != 12+6+1 {
		t.Fatalf("%d lines: %q", len(got), got)
	}
	if got[11] != "engine 49" || got[17] != "(Worker_TP0 pid=7) line 49" || got[18] != "(Worker_TP1 pid=8) out of memory" {
		t.Errorf("lines %q", got)
	}
}

// Ray writes whose line it is before vLLM does, in colour, and progress bars go over
// themselves.
func TestLogTailOfRay(t *testing.T) {
	t.Parallel()
	got := engine.LogTail([]string{
		"\x1b[33m(raylet)\x1b[0m a node died",
		"\x1b[36m(RayWorkerProc pid=9, ip=10.0.0.2)\x1b[0m (Worker pid=9) \rgraphs: 0%\rgraphs: 50%",
		"loading: 0%\rloading: 100%\r",
	})
	want := []string{"(raylet) a node died", "loading: 100%", "(RayWorkerProc pid=9, ip=10.0.0.2) (Worker pid=9) graphs: 50%"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
