//go:build integration

package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stepbench/bench/abtest"
	"stepbench/bench/abtest/archive"
	"stepbench/bench/abtest/estimate"
	"stepbench/bench/record"
)

// ordeal is one command that goes through one fault.
type ordeal struct {
	*testing.T
	cmd  *exec.Cmd
	dir  string // of everything below
	out  string // its results
	tmp  string // its TMPDIR
	mark string // in the environment of all its processes

	done    chan struct{} // closed at its end
	shared  []string      // of /dev/shm before
	trigger string        // a file at which the faulty processor breaks
}

// markName is a variable that a command hands down to all it starts.
const markName = "STEPBENCH_ORDEAL"

const moment = 20 * time.Millisecond

func begun(t *testing.T, f *fault) *ordeal {
	t.Helper()
	dir := t.TempDir()
	o := &ordeal{
		T: t, dir: dir, out: filepath.Join(dir, "out"), tmp: filepath.Join(dir, "tmp"), mark: filepath.Base(dir) + t.Name(),
		done: make(chan struct{}), shared: names("/dev/shm"), trigger: filepath.Join(dir, "now"),
	}
	if err := os.Mkdir(o.tmp, 0o700); err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "TMPDIR="+o.tmp, markName+"="+o.mark, "HF_HUB_OFFLINE=1")
	args := f.command(o)
	if f.python != "" {
		args = append(args, "--engine-arg", `logits_processors=["stepbench_faulty:Faulty"]`)
		env = append(env, "PYTHONPATH="+abs("testdata/faulty"), "STEPBENCH_FAULT="+f.python, "STEPBENCH_FAULT_AT="+o.trigger)
	}
	program := append(slices.Clone(f.under), buildStepbench(t))
	program = append(program, args...)
	o.cmd = exec.Command(program[0], program[1:]...)
	o.cmd.Env = env
	o.cmd.Stdout, o.cmd.Stderr = o.file("stdout"), o.file("stderr")
	if f.prepare != nil {
		f.prepare(o)
	}
	if err := o.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { defer close(o.done); _ = o.cmd.Wait() }()
	t.Cleanup(func() {
		for pid := range o.left() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		<-o.done
	})
	return o
}

func (o *ordeal) file(name string) *os.File {
	o.Helper()
	f, err := os.Create(filepath.Join(o.dir, name))
	if err != nil {
		o.Fatal(err)
	}
	o.Cleanup(func() { f.Close() })
	return f
}

func (o *ordeal) read(name string) string {
	text, _ := os.ReadFile(filepath.Join(o.dir, name))
	return string(text)
}

// until waits for a condition, as long as an engine may take to open on a busy
// machine.
func (o *ordeal) until(what string, holds func() bool) {
	o.Helper()
	for deadline := time.Now().Add(6 * time.Minute); time.Now().Before(deadline); time.Sleep(moment) {
		if holds() {
			return
		}
		select {
		case <-o.done:
			o.Fatalf("ended before %s\n%s", what, o.read("stderr"))
		default:
		}
	}
	o.Fatalf("%s: never\n%s", what, o.read("stderr"))
}

// opening waits for a worker that loads vLLM.
func (o *ordeal) opening() {
	o.Helper()
	o.until("a worker that opens", func() bool { return len(o.workers()) > 0 })
	time.Sleep(3 * time.Second)
}

// measuring waits until something has been measured and is on disk.
func (o *ordeal) measuring() {
	o.Helper()
	journals := map[string]string{record.JournalFile: `"requests":`, archive.JournalFile: `"timing"`}
	o.until("something measured", func() bool {
		for name, has := range journals {
			if strings.Contains(o.read(filepath.Join("out", name)), has) {
				return true
			}
		}
		return hasResults(o.out)
	})
}

// workers are the engine processes, in the order in which they were started.
func (o *ordeal) workers() []int {
	var pids []int
	for pid, command := range o.left() {
		if strings.Contains(command, " worker") && !strings.Contains(command, " tokenizer") {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

// limitMemory leaves the worker a GiB of address space beyond what it has.
func (o *ordeal) limitMemory() {
	o.Helper()
	pid := o.workers()[0]
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		o.Fatal(err)
	}
	pages, err := strconv.ParseUint(strings.Fields(string(text))[0], 10, 64)
	if err != nil {
		o.Fatal(err)
	}
	most := pages*uint64(os.Getpagesize()) + 1<<30
	if err := unix.Prlimit(pid, unix.RLIMIT_AS, &unix.Rlimit{Cur: most, Max: most}, nil); err != nil {
		o.Fatal(err)
	}
}

func (o *ordeal) signalWorker(which int, sig syscall.Signal) {
	o.Helper()
	pids := o.workers()
	if which >= len(pids) {
		o.Fatalf("%d workers: %v", len(pids), o.left())
	}
	if err := syscall.Kill(pids[which], sig); err != nil {
		o.Fatal(err)
	}
}

// strikeNow makes the faulty processor break in its next step.
func (o *ordeal) strikeNow() {
	o.Helper()
	if err := os.WriteFile(o.trigger, nil, 0o600); err != nil {
		o.Fatal(err)
	}
}

// left are the command's processes with their command lines.
func (o *ordeal) left() map[int]string {
	left := map[int]string{}
	for _, entry := range names("/proc") {
		pid, err := strconv.Atoi(entry)
		if err != nil || pid == os.Getpid() {
			continue
		}
		env, _ := os.ReadFile(filepath.Join("/proc", entry, "environ"))
		if bytes.Contains(env, []byte(markName+"="+o.mark+"\x00")) {
			line, _ := os.ReadFile(filepath.Join("/proc", entry, "cmdline"))
			left[pid] = strings.TrimSpace(string(bytes.ReplaceAll(line, []byte{0}, []byte{' '})))
		}
	}
	return left
}

func names(dir string) []string {
	entries, _ := os.ReadDir(dir)
	all := make([]string, len(entries))
	for i, e := range entries {
		all[i] = e.Name()
	}
	return all
}

// ended waits for the command and gives its exit code, -1 after a signal.
func (o *ordeal) ended() int {
	o.Helper()
	select {
	case <-o.done:
	case <-time.After(8 * time.Minute):
		o.Error("still there after 8 minutes")
		_ = o.cmd.Process.Kill()
		<-o.done
	}
	o.Logf("%s: %v\n%s%s", strings.Join(o.cmd.Args[1:], " "), o.cmd.ProcessState, o.read("stdout"), o.read("stderr"))
	return o.cmd.ProcessState.ExitCode()
}

// nothingLeft checks what holds after every fault: no process, shared memory or
// temporary file remains, but for one that may.
func (o *ordeal) nothingLeft(may string) {
	o.Helper()
	for deadline := time.Now().Add(10 * time.Second); len(o.left()) > 0 && time.Now().Before(deadline); {
		time.Sleep(moment)
	}
	if left := o.left(); len(left) > 0 {
		o.Errorf("processes left: %v", left)
	}
	for _, name := range names("/dev/shm") {
		if !slices.Contains(o.shared, name) {
			o.Errorf("/dev/shm/%s left", name)
		}
	}
	for _, name := range names(o.tmp) {
		// torch keeps a cache there, and gcc, which it calls, leaves what it was at when
		// it is killed.
		gcc := strings.HasPrefix(name, "cc") && slices.Contains([]string{".s", ".o", ".res"}, filepath.Ext(name))
		if name != may && !strings.HasPrefix(name, "torchinductor_") && !gcc {
			o.Errorf("temporary file left: %s", name)
		}
	}
	_ = filepath.WalkDir(o.out, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(d.Name(), ".stepbench-") {
			o.Errorf("half a file left: %s", path)
		}
		return nil
	})
}

// said checks that stderr has one error, with text in it, and no stack of ours.
// It returns the error's first line.
func (o *ordeal) said(text string) string {
	o.Helper()
	stderr := o.read("stderr")
	for _, bad := range []string{"\ngoroutine ", "panic: ", "runtime error"} {
		if strings.Contains(stderr, bad) {
			o.Errorf("stderr has %q", bad)
		}
	}
	if text == "" {
		return ""
	}
	if n := strings.Count(stderr, text); n != 1 {
		o.Errorf("stderr says %q %d times", text, n)
	}
	for line := range strings.Lines(stderr) {
		if strings.Contains(line, text) {
			return strings.NewReplacer(o.dir, "DIR", abs("../.."), "CHECKOUT").Replace(strings.TrimSpace(line))
		}
	}
	return ""
}

// run is a short workload of the tiny model; at 10 requests a second it takes 40 s.
func (o *ordeal) run(more ...string) []string {
	return append([]string{
		"run", "--model", "tiny", "--eager", "--input-len", "32", "--output-len", "16", "--kv-cache-mib", "64", "--max-num-seqs", "32",
		"--max-num-batched-tokens", "512", "--requests", "400", "--rate", "10", "--out", o.out,
	}, more...)
}

// ab compares the tiny model with itself.
func (o *ordeal) ab(more ...string) []string {
	return append([]string{
		"ab", "stock", "stock", "--model", "tiny", "--eager", "--shapes", "2q1s64", "--plan", "ci", "--launches", "1", "--prompts", "0",
		"--max-model-len", "256", "--kv-cache-mib", "64", "--delta", margin, "--out", o.out,
	}, more...)
}

const ordealRows = 300

// batch has rows for some seconds.
func (o *ordeal) batch(more ...string) []string {
	o.Helper()
	in := filepath.Join(o.dir, "in.jsonl")
	var lines strings.Builder
	for i := range ordealRows {
		fmt.Fprintf(&lines, "{\"prompt\":\"question %d, please\"}\n", i)
	}
	write(o.T, in, lines.String())
	return append([]string{
		"batch", "--model", "tiny", "--eager", "--ignore-eos", "--max-tokens", "16", "--kv-cache-mib", "64", "--max-num-seqs", "4",
		"--output-format", "jsonl", "--part-rows", "40", in, o.out,
	}, more...)
}

// kept counts what can be read of a run.
func (o *ordeal) kept() (state record.State, requests int) {
	o.Helper()
	rec := opened(o.T, o.out)
	return rec.Manifest.State, len(rec.Requests)
}

// noClaim checks that a damaged comparison says none of SAME, SLOWER and FASTER.
func (o *ordeal) noClaim() {
	o.Helper()
	_, ev, err := archive.Open(o.out)
	if err != nil {
		o.Fatal(err)
	}
	r := abtest.Judge(ev, abtest.Rules{})
	if slices.Contains([]estimate.Verdict{estimate.Same, estimate.Slower, estimate.Faster}, r.Verdict) {
		o.Errorf("%s from a damaged comparison", r.Verdict)
	}
	for _, claim := range []string{"**SAME**", "**SLOWER**", "**FASTER**"} {
		if strings.HasPrefix(strings.TrimSpace(o.read("stdout")), claim) {
			o.Errorf("stdout begins with %s", claim)
		}
	}
}

// small makes o.out a file system of its own, with some KiB.
func (o *ordeal) small(kib int, flags uintptr) {
	o.Helper()
	if err := os.Mkdir(o.out, 0o755); err != nil {
		o.Fatal(err)
	}
	if err := unix.Mount("tmpfs", o.out, "tmpfs", flags, fmt.Sprintf("size=%dk", kib)); err != nil {
		o.Skipf("this user cannot mount a small disk: %v", err)
	}
	o.Cleanup(func() { _ = unix.Unmount(o.out, unix.MNT_DETACH) })
}
