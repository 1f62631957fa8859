package telemetry

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// writeTree writes files below a new folder and returns it.
func writeTree(t testing.TB, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// fixtureHost reads files below "proc/" and "sys/".
func fixtureHost(t testing.TB, files map[string]string) *Host {
	t.Helper()
	root := writeTree(t, files)
	return hostAt(filepath.Join(root, "proc"), filepath.Join(root, "sys"))
}

// proc is one process of a made-up machine.
type proc struct {
	ticks       int // of CPU time, 10 ms each
	majorFaults int
	pages       int           // resident
	switches    map[int]int64 // of threads; the process's own id is the main thread's
	children    []int         // of the main thread
}

// add puts the process's files below "proc/".
func (p proc) add(files map[string]string, pid int) {
	dir := fmt.Sprintf("proc/%d/", pid)
	// pid (comm) state ppid pgrp session tty tpgid flags minflt cminflt majflt
	// cmajflt utime stime cutime cstime priority nice threads itreal start …
	files[dir+"stat"] = fmt.Sprintf("%d (python 3) S 1 1 1 0 -1 0 7 0 %d 0 %d 0 0 0 20 0 1 0 500 1 1%s\n",
		pid, p.majorFaults, p.ticks, strings.Repeat(" 0", 30))
	files[dir+"statm"] = fmt.Sprintf("%d %d 1 1 0 1 0\n", p.pages+10, p.pages)
	for tid, n := range p.switches {
		task := fmt.Sprintf("%stask/%d/", dir, tid)
		files[task+"status"] = fmt.Sprintf("Name:\tpython\nvoluntary_ctxt_switches:\t9\nnonvoluntary_ctxt_switches:\t%d\n", n)
		files[task+"children"] = ""
		if tid == pid {
			files[task+"children"] = strings.Trim(fmt.Sprint(p.children), "[]") + " "
		}
	}
}

// statFile is a /proc/stat with the ticks of each CPU: user, idle, steal.
func statFile(cpus ...[3]int) string {
	text := "cpu  0 0 0 0 0 0 0 0 0 0\n"
	for i, c := range cpus {
		text += fmt.Sprintf("cpu%d %d 0 0 %d 0 0 0 %d 0 0\n", i, c[0], c[1], c[2])
	}
	return text + "intr 1\nbtime 1700000000\n"
}

// fakeGPU answers with what the functions give.
type fakeGPU struct {
	gauges   func() Gauges
	counters func() Counters
	users    func() Processes
	gpm      func() GPM
	closed   chan struct{}
}

func newFakeGPU() *fakeGPU {
	return &fakeGPU{
		gauges:   func() Gauges { return Gauges{SMClockMHz: Of(1980.0)} },
		counters: func() Counters { return Counters{PowerCapNs: Of[int64](5)} },
		users:    func() Processes { return Processes{PIDs: []int{}} },
		gpm:      func() GPM { return GPM{PeriodNs: Of[int64](2e8), SMOccupancyFrac: Of(0.25)} },
		closed:   make(chan struct{}),
	}
}

func (g *fakeGPU) Gauges() Gauges       { return g.gauges() }
func (g *fakeGPU) Processes() Processes { return g.users() }
func (g *fakeGPU) Counters() Counters   { return g.counters() }
func (g *fakeGPU) GPM() GPM             { return g.gpm() }
func (g *fakeGPU) Close()               { close(g.closed) }
