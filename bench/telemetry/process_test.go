package telemetry

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var pageSize = int64(os.Getpagesize())

func TestProcess(t *testing.T) {
	root := proc{ticks: 250, majorFaults: 3, pages: 100, switches: map[int]int64{10: 4, 11: 5}, children: []int{20, 30}}
	rootMember := Member{PID: 10, CPUNs: Of[int64](2.5e9), RSSBytes: Of(100 * pageSize), MajorFaults: Of[int64](3), Switches: map[int]int64{10: 4, 11: 5}}
	child := proc{ticks: 1, pages: 2, switches: map[int]int64{20: 6}}
	childMember := Member{PID: 20, CPUNs: Of[int64](1e7), RSSBytes: Of(2 * pageSize), MajorFaults: Of[int64](0), Switches: map[int]int64{20: 6}}
	tests := []struct {
		name  string
		procs map[int]proc
		edit  func(files map[string]string)
		want  ProcessReading
	}{
		{"one child ended since it was listed", map[int]proc{10: root, 20: child}, nil,
			ProcessReading{PID: 10, Members: []Member{rootMember, childMember}}},
		{"grandchild of a thread", map[int]proc{10: root, 30: {switches: map[int]int64{30: 0, 31: 0}}, 20: child},
			func(files map[string]string) { files["proc/20/task/20/children"] = "40" },
			ProcessReading{PID: 10, Members: []Member{rootMember, childMember,
				{PID: 30, CPUNs: Of[int64](0), RSSBytes: Of[int64](0), MajorFaults: Of[int64](0), Switches: map[int]int64{30: 0, 31: 0}}}}},
		{"ended", map[int]proc{20: child}, nil, ProcessReading{PID: 10}},
		{"a thread ended since it was listed", map[int]proc{10: root},
			func(files map[string]string) {
				delete(files, "proc/10/task/11/status")
				delete(files, "proc/10/task/11/children")
				files["proc/10/task/11/x"] = ""
			},
			ProcessReading{PID: 10, Members: []Member{{PID: 10, CPUNs: rootMember.CPUNs, RSSBytes: rootMember.RSSBytes, MajorFaults: rootMember.MajorFaults, Switches: map[int]int64{10: 4}}}}},
		{"kernel does not list children", map[int]proc{10: root},
			func(files map[string]string) { delete(files, "proc/10/task/10/children") },
			ProcessReading{PID: 10, Members: []Member{rootMember}, Partial: true}},
		{"kernel does not count switches", map[int]proc{10: {switches: map[int]int64{10: 1}}},
			func(files map[string]string) { files["proc/10/task/10/status"] = "Name:\tx\n" },
			ProcessReading{PID: 10, Members: []Member{{PID: 10, CPUNs: Of[int64](0), RSSBytes: Of[int64](0), MajorFaults: Of[int64](0)}}}},
		{"memory not told", map[int]proc{10: {switches: map[int]int64{10: 1}}},
			func(files map[string]string) { delete(files, "proc/10/statm") },
			ProcessReading{PID: 10, Members: []Member{{PID: 10, CPUNs: Of[int64](0), MajorFaults: Of[int64](0), Switches: map[int]int64{10: 1}}}}},
		{"ids come in a circle", map[int]proc{10: root, 20: {switches: map[int]int64{20: 6}, ticks: 1, pages: 2, children: []int{10, 20}}}, nil,
			ProcessReading{PID: 10, Members: []Member{rootMember, childMember}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			files := map[string]string{}
			for pid, p := range tt.procs {
				p.add(files, pid)
			}
			if tt.edit != nil {
				tt.edit(files)
			}
			got := fixtureHost(t, files).Process(10)
			if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreFields(Member{}, "AtNs")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestProcess_Vanishing reads a tree whose processes come and go meanwhile: each
// reading is either of a tree with its root, or of none.
func TestProcess_Vanishing(t *testing.T) {
	files := map[string]string{}
	for pid := 10; pid <= 12; pid++ {
		proc{ticks: pid, pages: 1, switches: map[int]int64{pid: 1}, children: []int{pid + 1}}.add(files, pid)
	}
	h := fixtureHost(t, files)
	stop := make(chan struct{})
	var others sync.WaitGroup
	for pid := 10; pid <= 12; pid++ {
		others.Go(func() {
			here, away := h.procFile(fmt.Sprint(pid)), filepath.Join(t.TempDir(), "away")
			for {
				select {
				case <-stop:
					return
				default:
				}
				time.Sleep(time.Millisecond) // there for long enough to be read whole
				if err := errors.Join(os.Rename(here, away), os.Rename(away, here)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for whole, none := 0, 0; whole < 100 || none < 3; {
		r := h.Process(10)
		if len(r.Members) == 0 {
			none++
			continue
		}
		whole++
		for i, m := range r.Members {
			if want := 10 + i; i == 0 && m.PID != want || m.CPUNs.Known && m.CPUNs.V != int64(m.PID)*1e7 {
				t.Fatalf("member %d is %+v", i, m)
			}
		}
	}
	close(stop)
	others.Wait()
	if r := h.Process(10); len(r.Members) != 3 {
		t.Errorf("with all back: %+v", r)
	}
}

func TestProcess_Live(t *testing.T) {
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	h := NewHost()
	before := h.Process(os.Getpid())
	i := slices.IndexFunc(before.Members, func(m Member) bool { return m.PID == child.Process.Pid })
	if i < 1 || before.Partial {
		t.Fatalf("child %d is not in %+v", child.Process.Pid, before)
	}
	for _, m := range before.Members {
		if !m.CPUNs.Known || !m.RSSBytes.Known || !m.MajorFaults.Known || m.Switches == nil {
			t.Errorf("unknown: %+v", m)
		}
	}
	_, start := h.CPUNs(os.Getpid())
	for now := start; now.V < start.V+20e6; {
		_, now = h.CPUNs(os.Getpid())
	}
	child.Process.Kill()
	child.Wait()
	c := h.Process(os.Getpid()).since(before)
	if !c.CPUNs.Known || c.CPUNs.V < 20e6 || c.Ended != 1 {
		t.Errorf("after 20 ms of work and the end of the child: %+v", c)
	}
	if _, v := h.CPUNs(child.Process.Pid); v.Known {
		t.Errorf("CPU time of an ended process: %v", v)
	}
	if r := h.Process(child.Process.Pid); len(r.Members) != 0 {
		t.Errorf("an ended process: %+v", r)
	}
}

// TestProcessCPUNs holds the process clock against /proc, which counts the same
// time in ticks.
func TestProcessCPUNs(t *testing.T) {
	live := NewHost()
	ticks := hostAt("/proc", "/sys")
	_, low := ticks.CPUNs(os.Getppid())
	_, exact := live.CPUNs(os.Getppid())
	_, high := ticks.CPUNs(os.Getppid())
	const tick = 20e6 // user and system time are rounded each
	if !exact.Known || exact.V < low.V-tick || exact.V > high.V+tick {
		t.Errorf("process clock %v, ticks %v to %v", exact, low, high)
	}
}
