//go:build integration

package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stepbench/bench/abtest/archive"
	"stepbench/bench/record"
)

// fault is one thing broken on purpose in a command on real vLLM with the tiny
// model.
type fault struct {
	name    string
	short   bool                     // one of those in make test
	command func(o *ordeal) []string // arguments
	under   []string                 // a program that runs it, with arguments
	python  string                   // what testdata/faulty does
	prepare func(o *ordeal)          // before the start
	strike  func(o *ordeal)          // while it runs
	exits   []int                    // any of these
	says    string                   // in its one error; empty: no error
	leaves  string                   // a temporary file that may stay
	check   func(o *ordeal) string   // what else must hold; what is left, for the table
}

// hangs is a --step-timeout for a worker that does not answer.
const hangs = "4s"

func runs(more ...string) func(*ordeal) []string {
	return func(o *ordeal) []string { return o.run(more...) }
}

func compares(more ...string) func(*ordeal) []string {
	return func(o *ordeal) []string { return o.ab(more...) }
}

func batches(more ...string) func(*ordeal) []string {
	return func(o *ordeal) []string { return o.batch(more...) }
}

func signalled(which int, sig syscall.Signal) func(*ordeal) {
	return func(o *ordeal) {
		o.measuring()
		o.signalWorker(which, sig)
	}
}

// broken strikes with the faulty processor once something is measured.
func broken(o *ordeal) {
	o.measuring()
	o.strikeNow()
}

// keeps wants the record of a run to be in a state, with requests or without.
func keeps(state record.State, requests bool) func(*ordeal) string {
	return func(o *ordeal) string {
		got, n := o.kept()
		if got != state || (n > 0) != requests {
			o.Errorf("state %s with %d requests", got, n)
		}
		if !requests {
			return string(got)
		}
		return string(got) + ", what was measured is there"
	}
}

// judged wants a comparison without a claim.
func judged(o *ordeal) string {
	o.noClaim()
	return "no SAME, SLOWER or FASTER; bursts before it are there"
}

// allRows wants every row of a batch.
func allRows(o *ordeal) string {
	all := resultsOf(o.T, o.out)
	for i, r := range all {
		if r.Failure != nil {
			o.Errorf("row %d failed: %v", i, r.Failure)
		}
	}
	if len(all) != ordealRows {
		o.Errorf("%d of %d rows", len(all), ordealRows)
	}
	return "all rows, none twice"
}

func faults() []fault {
	failed := keeps(record.Failed, true)
	return []fault{
		{
			name: "worker: SIGKILL in a run", short: true, command: runs(), strike: signalled(0, syscall.SIGKILL),
			exits: []int{exitInternal}, says: "worker died: signal: killed during run", check: failed,
		},
		{
			name: "worker: SIGKILL at open", command: runs(),
			strike: func(o *ordeal) { o.opening(); o.signalWorker(0, syscall.SIGKILL) },
			exits:  []int{exitInternal}, says: "worker died: signal: killed during open", check: keeps(record.Failed, false),
		},
		{
			name: "worker: SIGSTOP in a run (hang)", command: runs("--step-timeout", hangs), strike: signalled(0, syscall.SIGSTOP),
			exits: []int{exitInternal}, says: "worker gave no sign for 4s and was killed during run", check: failed,
		},
		{
			name: "worker: out of memory at open (RLIMIT_AS)", command: runs(),
			under: []string{"sh", "-c", `ulimit -v 3000000; exec "$0" "$@"`},
			exits: []int{exitEnvironment}, says: "stepbench: start python", check: keeps(record.Failed, false),
		},
		{
			name: "worker: out of memory in a run (RLIMIT_AS)", command: runs(), python: "hungry",
			strike: func(o *ordeal) { o.measuring(); o.limitMemory(); o.strikeNow() },
			exits:  []int{exitInternal}, says: "can't allocate memory", check: failed,
		},
		{
			name: "step: SIGSEGV in native code", command: runs(), python: "segfaults", strike: broken,
			exits: []int{exitInternal}, says: "worker died: ", check: failed,
		},
		{
			name: "step: a Python exception", short: true, command: runs(), python: "raises", strike: broken,
			exits: []int{exitInternal}, says: "RuntimeError: the sampler broke", check: failed,
		},
		{
			name: "step: SystemExit", command: runs(), python: "exits", strike: broken,
			exits: []int{exitInternal}, says: "SystemExit: the sampler wants to leave", check: failed,
		},
		{
			name: "step: the process exits", command: runs(), python: "dies", strike: broken,
			exits: []int{exitInternal}, says: "worker died: exit status 3 during run", check: failed,
		},
		{
			name: "submit: one request of 13 is refused", command: runs("--requests", "13"), python: "refuses",
			exits: []int{exitFailedRows}, says: "1 of 13 requests failed", check: keeps(record.Complete, true),
		},
		{ // nobody knows what it left behind in the engine
			name: "submit: a Python exception", command: runs("--requests", "13"), python: "submit",
			exits: []int{exitInternal}, says: "submit request 6: RuntimeError: the processor broke", check: failed,
		},
		{
			name: "open: a Python exception", command: runs(), python: "open",
			exits: []int{exitEnvironment}, says: "RuntimeError: the processor does not open", check: keeps(record.Failed, false),
		},
		{
			name: "pipe: the worker answers garbage", command: runs(), python: "garbage", strike: broken,
			exits: []int{exitInternal}, says: "worker answered nonsense (broken frame", check: failed,
		},
		{
			name: "pipe: half a frame, then the end", command: runs(), python: "half_frame", strike: broken,
			exits: []int{exitInternal}, says: "worker answered nonsense (broken frame", check: failed,
		},
		{
			name: "pipe: a frame of 4 GiB", command: runs(), python: "huge_frame", strike: broken,
			exits: []int{exitInternal}, says: "worker answered nonsense (broken frame", check: failed,
		},
		{
			name: "disk: full in a run", command: runs("--sample-hz", "0"), prepare: func(o *ordeal) { o.small(48, 0) },
			exits: []int{exitInternal}, says: "record batch in",
			check: func(o *ordeal) string {
				_, n := o.kept()
				if n == 0 {
					o.Error("nothing is readable")
				}
				return "what was measured before is there"
			},
		},
		{
			name: "disk: read-only", command: runs(), prepare: func(o *ordeal) { o.small(64, unix.MS_RDONLY) },
			exits: []int{exitUsage}, says: "read-only file system", check: func(*ordeal) string { return "refused before the engine starts" },
		},
		{
			name: "stdout: closed (| head)", command: runs("--requests", "10"), prepare: closedStdout,
			exits: []int{-1, exitOK, exitInternal}, check: keeps(record.Complete, true),
		},
		{
			name: "clock: an hour back in a run", command: runs("--requests", "100"), python: "clock_jumps", strike: broken,
			exits: []int{exitOK},
			check: func(o *ordeal) string {
				for _, r := range opened(o.T, o.out).Requests {
					if e2e := time.Duration(r.DeliveredNs - r.ArrivalNs); e2e <= 0 || e2e > time.Minute {
						o.Errorf("request %d took %v", r.ID, e2e)
					}
				}
				return "latencies unharmed: they are from the monotonic clock"
			},
		},
		{
			name: "SIGINT in a run", short: true, command: runs(), strike: func(o *ordeal) { o.measuring(); o.toCommand(syscall.SIGINT) },
			exits: []int{exitInterrupted}, says: "stepbench: interrupted", check: keeps(record.Interrupted, true),
		},
		{
			name: "SIGTERM at a random time", command: runs("--requests", "40"), strike: atRandom(syscall.SIGTERM),
			exits: []int{exitInterrupted, exitOK}, check: readable,
		},
		{
			name: "SIGHUP at a random time", command: runs("--requests", "40"), strike: atRandom(syscall.SIGHUP),
			exits: []int{exitInterrupted, exitOK}, check: readable,
		},
		{
			name: "SIGINT at a random time", command: runs("--requests", "40"), strike: atRandom(syscall.SIGINT),
			exits: []int{exitInterrupted, exitOK}, check: readable,
		},
		{
			name: "SIGHUP under nohup", command: runs("--requests", "40"), under: []string{"nohup"},
			strike: func(o *ordeal) { o.measuring(); o.toCommand(syscall.SIGHUP) },
			exits:  []int{exitOK}, check: keeps(record.Complete, true),
		},
		{
			name: "parent: SIGKILL in a run", command: runs(), strike: func(o *ordeal) { o.measuring(); o.toCommand(syscall.SIGKILL) },
			exits: []int{-1}, check: keeps(record.Running, true),
		},
		{
			name: "terminal: resized all the time", under: []string{"../../.venv/bin/python", "testdata/terminal.py", "xterm"}, command: runs("--requests", "40"),
			exits: []int{exitOK}, check: func(o *ordeal) string {
				if !strings.Contains(o.read("stdout"), "\r") {
					o.Error("no line was rewritten in place")
				}
				return keeps(record.Complete, true)(o)
			},
		},
		{
			name: "terminal: TERM=dumb", under: []string{"../../.venv/bin/python", "testdata/terminal.py", "dumb"}, command: runs("--requests", "40"),
			exits: []int{exitOK}, check: func(o *ordeal) string {
				if strings.Contains(o.read("stdout"), "\x1b") {
					o.Error("escape sequences")
				}
				return keeps(record.Complete, true)(o)
			},
		},
		{
			name: "environment: no HOME", under: []string{"env", "-u", "HOME", "-u", "XDG_CACHE_HOME", "-u", "XDG_CONFIG_HOME"}, command: runs("--requests", "10"),
			leaves: fmt.Sprintf("stepbench-%d", os.Getuid()), // its cache
			exits:  []int{exitOK}, check: keeps(record.Complete, true),
		},
		{
			name: "paths: spaces and letters beyond ASCII",
			command: func(o *ordeal) []string {
				o.out = filepath.Join(o.dir, "größe, été & $(x) 'y'")
				return o.run("--requests", "10")
			},
			exits: []int{exitOK}, check: keeps(record.Complete, true),
		},
		{
			name: "ab: SIGKILL of one arm's worker", command: compares(), strike: signalled(1, syscall.SIGKILL),
			exits: []int{exitInvalid}, check: judged,
		},
		{
			name: "ab: one arm's worker hangs", command: compares("--step-timeout", hangs), strike: signalled(1, syscall.SIGSTOP),
			exits: []int{exitInvalid}, check: judged,
		},
		{
			name: "ab: one arm stands still for 3 s in a burst of 0.3 s", command: compares("--launches", "3"),
			strike: func(o *ordeal) {
				o.measuring()
				o.signalWorker(1, syscall.SIGSTOP)
				time.Sleep(3 * time.Second)
				o.signalWorker(1, syscall.SIGCONT)
			},
			exits: []int{exitOK, exitInconclusive, exitInvalid}, check: neitherSlowerNorFaster,
		},
		{
			name: "ab: SIGTERM", command: compares(), strike: func(o *ordeal) { o.measuring(); o.toCommand(syscall.SIGTERM) },
			exits: []int{exitInterrupted}, says: "stepbench: interrupted", check: judged,
		},
		{
			name: "ab: SIGKILL of the parent", command: compares(), strike: func(o *ordeal) { o.measuring(); o.toCommand(syscall.SIGKILL) },
			exits: []int{-1}, check: func(o *ordeal) string {
				if _, err := os.Stat(filepath.Join(o.out, archive.VerdictFile)); err == nil {
					o.Error("a verdict was left")
				}
				return judged(o)
			},
		},
		{
			name: "batch: SIGKILL of the worker", command: batches(), strike: signalled(0, syscall.SIGKILL),
			exits: []int{exitOK}, check: allRows,
		},
		{
			name: "batch: the worker hangs", command: batches("--step-timeout", hangs), strike: signalled(0, syscall.SIGSTOP),
			exits: []int{exitOK}, check: allRows,
		},
		{
			name: "batch: a Python exception in a step", command: batches(), python: "raises", strike: broken,
			exits: []int{exitOK}, check: allRows,
		},
	}
}

// toCommand signals the command itself.
func (o *ordeal) toCommand(sig syscall.Signal) {
	o.Helper()
	if err := o.cmd.Process.Signal(sig); err != nil {
		o.Fatal(err)
	}
}

// atRandom signals at some time between the start and the end.
func atRandom(sig syscall.Signal) func(*ordeal) {
	return func(o *ordeal) {
		after := time.Second + time.Duration(rand.Int64N(int64(40*time.Second)))
		o.Logf("%v after %v", sig, after)
		time.Sleep(after)
		_ = o.cmd.Process.Signal(sig) // it may have ended
	}
}

// readable wants a record that says how it ended.
func readable(o *ordeal) string {
	state, _ := o.kept()
	if state != record.Interrupted && state != record.Complete {
		o.Errorf("state %s", state)
	}
	return "interrupted, or complete"
}

func neitherSlowerNorFaster(o *ordeal) string {
	var result struct{ Verdict string }
	text, err := os.ReadFile(filepath.Join(o.out, archive.VerdictFile))
	if err == nil {
		err = json.Unmarshal(text, &result)
	}
	if err != nil {
		o.Fatal(err)
	}
	if result.Verdict == "SLOWER" || result.Verdict == "FASTER" {
		o.Errorf("%s from one slow burst", result.Verdict)
	}
	return result.Verdict + " in the run of this table"
}

// closedStdout gives the command a pipe that nobody reads.
func closedStdout(o *ordeal) {
	r, w, err := os.Pipe()
	if err != nil {
		o.Fatal(err)
	}
	r.Close()
	o.cmd.Stdout = w
	o.Cleanup(func() { w.Close() })
}

// TestFaults breaks commands on real vLLM in many ways. Three ways are part of
// make test; STEPBENCH_FAULTS is a substring of the names of others to run, or
// "all". With STEPBENCH_FAULTS_OUT a table of what happened is written there.
func TestFaults(t *testing.T) {
	want := os.Getenv("STEPBENCH_FAULTS")
	var table faultTable
	for _, f := range faults() {
		if !(want == "" && f.short || want == "all" || want != "" && strings.Contains(f.name, want)) {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			o := begun(t, &f)
			if f.strike != nil {
				f.strike(o)
			}
			struck := time.Now()
			exit := o.ended()
			took := time.Since(struck)
			if !slices.Contains(f.exits, exit) {
				t.Errorf("exit code %d, want %v", exit, f.exits)
			}
			said := o.said(f.says)
			o.nothingLeft(f.leaves)
			left := ""
			if f.check != nil {
				left = f.check(o)
			}
			if !t.Failed() {
				table.add(f.name, exit, said, left, took)
			}
		})
	}
	if path := os.Getenv("STEPBENCH_FAULTS_OUT"); path != "" {
		standIns(t, &table)
		table.write(t, path)
	}
}

// standIn is a fault that real vLLM cannot be brought to, with the test that
// constructs it.
type standIn struct{ fault, outcome, pkg, test string }

var constructed = []standIn{
	{"NVML blocks", "the sampler goes on without it and says so", "./bench/telemetry", "TestDevice_Blocks|TestDevice_CloseWhileBlocked|TestSampler_Blocked"},
	{"NVML disappears, or gives errors", "absent values, never zeros", "./bench/telemetry", "TestDevice_Disappears|TestOpenDevice_Errors|TestOpenNVML_Errors"},
	{"a GPU that throttles", "the gate fails; bursts are dropped", "./bench/telemetry", "TestThermalGate|TestClocksGate"},
	{"files of /proc and /sys that vanish while sampled", "absent values", "./bench/telemetry", "TestProcess_Vanishing|TestThrottling|TestThreads_NoKernelStatistics"},
	{"a comparison that a launch, a gate or an end damages", "INVALID or INCONCLUSIVE", "./bench/abtest", "TestCollectFailures|TestCollectEnds|TestGates"},
	{"500 ms in which the engine does nothing", "in the TTFT of what arrived meanwhile", "./bench/workload", "TestStallShows"},
}

// standIns runs the tests of constructed faults.
func standIns(t *testing.T, table *faultTable) {
	t.Helper()
	for _, s := range constructed {
		cmd := exec.Command("go", "test", "-ldflags", "-extldflags=-Wl,-z,lazy", "-count=1", "-v", "-run", s.test, s.pkg)
		cmd.Dir = "../.."
		out, err := cmd.CombinedOutput()
		passed := strings.Count(string(out), "\n--- PASS")
		if err != nil || passed == 0 {
			t.Errorf("%s: %v\n%s", s.fault, err, out)
			continue
		}
		table.construct(s, passed)
	}
}
