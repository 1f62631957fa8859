package telemetry

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestThreads(t *testing.T) {
	proc := t.TempDir()
	write := func(pid, tid, name, comm, schedstat, children string) {
		t.Helper()
		dir := filepath.Join(proc, pid, "task", tid)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for file, text := range map[string]string{
			"comm": comm + "\n", "schedstat": schedstat, "children": children,
			"status": "Name:\t" + name + "\nnonvoluntary_ctxt_switches:\t3\n",
		} {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	write("10", "10", "python", "python", "1000 5 2\n", "20 ")
	write("10", "11", "omp", "omp", "500 5 2\n", "")
	write("20", "20", "child", "child", "70 5 2\n", "")
	host := hostAt(proc, t.TempDir())
	before := host.Threads(10)
	want := map[int]ThreadCPU{10: {"python, main", 1, 1000}, 11: {"omp", 1, 500}, 20: {"child, main", 1, 70}}
	if diff := cmp.Diff(want, before); diff != "" {
		t.Errorf("threads (-want +got):\n%s", diff)
	}
	write("10", "11", "omp", "omp", "4500 5 2\n", "")
	write("10", "12", "omp", "omp", "300 5 2\n", "") // born since
	if err := os.RemoveAll(filepath.Join(proc, "20")); err != nil {
		t.Fatal(err)
	}
	since := []ThreadCPU{{"omp", 2, 4300}, {"python, main", 1, 0}}
	if diff := cmp.Diff(since, ThreadsSince(before, host.Threads(10))); diff != "" {
		t.Errorf("since (-want +got):\n%s", diff)
	}
	threads, switches := host.threadCounts([]int{10})
	if threads != Of[int64](3) || switches != Of[int64](9) {
		t.Errorf("%v threads with %v switches, want 3 with 9", threads, switches)
	}
	if threads, _ := host.threadCounts([]int{99}); threads.Known {
		t.Errorf("threads of a process that is not there: %v", threads)
	}
}

func TestThreads_NoKernelStatistics(t *testing.T) {
	if got := hostAt(t.TempDir(), t.TempDir()).Threads(1); got != nil {
		t.Errorf("threads %v, want nil", got)
	}
}
