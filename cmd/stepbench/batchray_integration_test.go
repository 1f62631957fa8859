//go:build integration

package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// rayNode is a node of a cluster on this machine.
type rayNode struct{ cmd *exec.Cmd }

// startRayNode starts a node of one CPU and waits until it is up.
func startRayNode(t *testing.T, args ...string) *rayNode {
	t.Helper()
	n := &rayNode{}
	ray := filepath.Join(filepath.Dir(os.Getenv("STEPBENCH_RAY_PYTHON")), "ray")
	n.cmd = exec.Command(ray, append([]string{"start", "--block", "--num-cpus=1", "--object-store-memory=80000000", "--disable-usage-stats"}, args...)...)
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	n.cmd.Env = append(os.Environ(), "PYTHONPATH="+abs("../../csrc/testdata/fake"), "PYTHONDONTWRITEBYTECODE=1",
		"RAY_health_check_period_ms=500", "RAY_health_check_failure_threshold=3")
	log := filepath.Join(t.TempDir(), "ray.log")
	f, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n.cmd.Stdout, n.cmd.Stderr = f, f
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-n.cmd.Process.Pid, syscall.SIGKILL)
		_ = n.cmd.Wait()
	})
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		text, _ := os.ReadFile(log)
		if bytes.Contains(text, []byte("Ray runtime started")) {
			return n
		}
		if time.Now().After(deadline) || syscall.Kill(n.cmd.Process.Pid, 0) != nil {
			t.Fatalf("the Ray node did not start:\n%s", text)
		}
	}
}

// kill ends what Ray has on the node at once, but for its worker processes, whose
// groups are their own: they find their raylet gone.
func (n *rayNode) kill() { _ = syscall.Kill(-n.cmd.Process.Pid, syscall.SIGKILL) }

// holder is the process that holds a batch directory.
func holder(t *testing.T, out string) (pid int) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(out, "lock"))
	if _, wrong := fmt.Sscan(string(text), &pid); err != nil || wrong != nil {
		t.Fatalf("lock %q: %v", text, err)
	}
	return pid
}

// freePort is a port that nobody listens to.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// A node of a Ray cluster dies in the middle of a batch: its shard goes on on
// the other one, and every row has exactly the result of an undisturbed run.
// STEPBENCH_RAY_PYTHON is a python executable with Ray.
func TestBatchOnRay(t *testing.T) {
	if os.Getenv("STEPBENCH_RAY_PYTHON") == "" {
		t.Skip("STEPBENCH_RAY_PYTHON is not set: make test-ray sets it")
	}
	const rows = 120
	program, dir := buildStepbench(t), t.TempDir()
	in := filepath.Join(dir, "in.jsonl")
	var lines strings.Builder
	for i := range rows {
		slow := 3
		if i%4 < 2 { // in both shards
			slow = 671 // each step with it takes the stand-in 50 ms
		}
		fmt.Fprintf(&lines, "{\"tokens\":[%d,%d]}\n", slow, i+1)
	}
	write(t, in, lines.String())
	batch := func(args ...string) (*exec.Cmd, *bytes.Buffer) {
		var said bytes.Buffer
		cmd := exec.Command(program, append([]string{"batch", "--model", bareModel(t), "--max-num-seqs", "4", "--max-tokens", "4", "--output-format", "jsonl"}, args...)...)
		cmd.Env = append(os.Environ(), "PYTHONPATH="+abs("../../csrc/testdata/fake"), "PYTHONDONTWRITEBYTECODE=1")
		cmd.Stdout, cmd.Stderr = &said, &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
		return cmd, &said
	}

	refused, refusal := batch("--ray", "127.0.0.1:"+freePort(t), in, filepath.Join(dir, "refused"))
	plain, said := batch(in, filepath.Join(dir, "plain"))
	// Ray's sockets need a short path.
	temp, err := os.MkdirTemp("/tmp", "ray")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(temp) })
	port := freePort(t)
	startRayNode(t, "--head", "--port="+port, "--include-dashboard=false", "--temp-dir="+temp)
	second := startRayNode(t, "--address=127.0.0.1:"+port)
	if err := plain.Wait(); err != nil {
		t.Fatalf("undisturbed: %v\n%s", err, said)
	}
	want := outputs(resultsOf(t, filepath.Join(dir, "plain")))
	if len(want) != rows {
		t.Fatalf("%d of %d rows have outputs", len(want), rows)
	}

	out := filepath.Join(dir, "out")
	onRay := []string{"--ray", "127.0.0.1:" + port, in, out}
	cmd, said := batch(onRay...)
	shards := []string{filepath.Join(out+".shards", "shard-0"), filepath.Join(out+".shards", "shard-1")}
	for deadline := time.Now().Add(2 * time.Minute); !hasResults(shards[0]) || !hasResults(shards[1]); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no rows were answered:\n%s", said)
		}
	}
	before := len(resultsOf(t, shards[0])) + len(resultsOf(t, shards[1]))
	pids := []int{holder(t, shards[0]), holder(t, shards[1])}
	second.kill()
	left := pids
	for deadline := time.Now().Add(5 * time.Second); len(left) == 2 && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		left = slices.DeleteFunc(slices.Clone(pids), func(pid int) bool { return syscall.Kill(pid, 0) != nil })
	}
	if len(left) != 1 {
		t.Errorf("of the shards' processes %d these live on: %d, want one", pids, left)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	if before == 0 || before == rows || !strings.Contains(said.String(), "going on with "+out+".shards") {
		t.Errorf("not killed in the middle: %d of %d rows were done\n%s", before, rows, said)
	}
	if diff := cmp.Diff(want, outputs(resultsOf(t, out))); diff != "" {
		t.Errorf("rows (-undisturbed +killed)\n%s", diff)
	}
	t.Logf("%d rows before the kill\n%s", before, said)

	again, said := batch(onRay...)
	if err := again.Wait(); err != nil || !strings.Contains(said.String(), fmt.Sprintf("%d rows", rows)) {
		t.Errorf("the same command again: %v\n%s", err, said)
	}
	if _ = refused.Wait(); refused.ProcessState.ExitCode() != exitEnvironment || !strings.Contains(refusal.String(), "no Ray cluster at") {
		t.Errorf("without a cluster: exit %d\n%s", refused.ProcessState.ExitCode(), refusal)
	}
	python := exec.Command(program, append([]string{"batch", "--model", bareModel(t), "--ray-python", "python3"}, onRay...)...)
	python.Env = append(os.Environ(), "PYTHONPATH=", "PYTHONSAFEPATH=1")
	if text, _ := python.CombinedOutput(); python.ProcessState.ExitCode() != exitEnvironment || !strings.Contains(string(text), "has no Ray") {
		t.Errorf("a python without Ray: exit %d\n%s", python.ProcessState.ExitCode(), text)
	}
}
