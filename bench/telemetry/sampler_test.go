package telemetry

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// fixtureMachine is a made-up one whose files the returned function replaces.
func fixtureMachine(t testing.TB, files map[string]string, devices ...*Device) (*Machine, func(map[string]string)) {
	h := fixtureHost(t, files)
	root := filepath.Dir(h.proc)
	replace := func(files map[string]string) {
		for _, name := range slices.Sorted(maps.Keys(files)) {
			// Renamed into place: what reads it meanwhile must not see half of it.
			path := filepath.Join(root, name)
			if err := os.WriteFile(path+".new", []byte(files[name]), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(path+".new", path); err != nil {
				t.Fatal(err)
			}
		}
	}
	return NewMachine(h, devices...), replace
}

func TestSeries(t *testing.T) {
	const freq = "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq"
	files := map[string]string{"proc/stat": statFile([3]int{0, 0, 0}, [3]int{0, 0, 0}), freq: "3000000"}
	proc{ticks: 100, pages: 5, switches: map[int]int64{10: 0}, children: []int{20}}.add(files, 10)
	proc{ticks: 50, pages: 1, switches: map[int]int64{20: 0}}.add(files, 20)
	d := NewDevice("GPU-1", newFakeGPU())
	defer d.Close()
	m, replace := fixtureMachine(t, files, d)
	m.Watch(10, 99)

	s := series{machine: m, cpu: map[int]cpuReading{}}
	first := s.next(true)
	files = map[string]string{"proc/stat": statFile([3]int{60, 30, 10}, [3]int{0, 100, 0})}
	proc{ticks: 130, pages: 7, switches: map[int]int64{10: 0}, children: []int{20}}.add(files, 10)
	delete(files, "proc/10/task/10/children")
	replace(files)
	second := s.next(false)
	if err := os.RemoveAll(m.host.procFile("20")); err != nil {
		t.Fatal(err)
	}
	third := s.next(true)

	gauges := DeviceReading{UUID: "GPU-1", Gauges: Gauges{SMClockMHz: Of(1980.0)}}
	full := gauges
	full.Counters, full.Processes = Counters{PowerCapNs: Of[int64](5)}, Processes{PIDs: []int{}}
	slow := gauges
	slow.Processes = full.Processes
	page := pageSize
	want := []Sample{
		{Devices: []DeviceReading{full}, Processes: []ProcessSample{{PID: 10, RSSBytes: Of(6 * page), PIDs: []int{10, 20}, Threads: Of[int64](2), InvoluntarySwitches: Of[int64](0)}, {PID: 99}}},
		{Devices: []DeviceReading{gauges}, Processes: []ProcessSample{{PID: 10, CPUFrac: Of(0.3)}, {PID: 99}}},
		{Devices: []DeviceReading{slow}, CPUBusyFrac: Of(0.3), CoreBusyFrac: []float64{0.6, 0}, StealFrac: Of(1. / 7), FrequencyMHz: Of(3000.0),
			Processes: []ProcessSample{{PID: 10, CPUFrac: Of(0.0), RSSBytes: Of(7 * page), PIDs: []int{10}}, {PID: 99}}},
	}
	got := []Sample{first, second, third}
	// Shares of a process are per time that really passed: put it aside.
	for i := range got {
		for j := range got[i].Processes {
			if f := &got[i].Processes[j].CPUFrac; f.Known && f.V > 0 {
				f.V = 0.3
			}
		}
	}
	ignore := cmpopts.IgnoreFields(Sample{}, "BeforeNs", "AfterNs")
	if diff := cmp.Diff(want, got, almost, ignore, cmpopts.IgnoreFields(DeviceReading{}, "BeforeNs", "AfterNs")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSampler(t *testing.T) {
	g := newFakeGPU()
	clock := 1000.0
	g.gauges = func() Gauges { clock++; return Gauges{SMClockMHz: Of(clock)} }
	d := NewDevice("GPU-1", g)
	defer d.Close()
	m, _ := fixtureMachine(t, map[string]string{"proc/stat": statFile([3]int{1, 1, 0})}, d)
	before := m.Snapshot() // clock 1001
	ticks := make(chan time.Time)
	s := newSampler(m, 4)
	go s.run(ticks, 3)
	for range 5 { // each is taken only when the sample before it is kept
		ticks <- time.Time{}
	}
	s.Stop()
	s.Stop()

	clocks := func(samples []Sample) (mhz []float64, slow []bool) {
		for _, x := range samples {
			mhz = append(mhz, x.Devices[0].Gauges.SMClockMHz.V)
			slow = append(slow, x.Devices[0].Processes.PIDs != nil)
		}
		return mhz, slow
	}
	// Six were made, the last four kept.
	kept, whole := s.Between(0, nowNs())
	mhz, slow := clocks(kept)
	if diff := cmp.Diff([]float64{1004, 1005, 1006, 1007}, mhz); diff != "" || whole {
		t.Errorf("whole %t (-want +got):\n%s", whole, diff)
	}
	if diff := cmp.Diff([]bool{false, true, false, false}, slow); diff != "" {
		t.Errorf("processes every third time (-want +got):\n%s", diff)
	}
	inner, whole := s.Between(kept[1].BeforeNs, kept[2].AfterNs)
	if mhz, _ := clocks(inner); !slices.Equal(mhz, []float64{1005, 1006}) || !whole {
		t.Errorf("between: %v, whole %t", mhz, whole)
	}
	if cut, _ := s.Between(kept[1].BeforeNs+1, kept[2].AfterNs-1); len(cut) != 0 {
		t.Errorf("samples at the edge: %v", cut)
	}
	c := s.Change(before, m.Snapshot())
	if got := c.Devices[0].SMClockMHz(); got != Of(1005.5) || !c.Unsampled {
		t.Errorf("median %v of a change whose start is lost: %+v", got, c)
	}
	late := Snapshot{AfterNs: kept[1].BeforeNs, Devices: before.Devices}
	if c := s.Change(late, m.Snapshot()); c.Unsampled || len(c.Devices[0].SMClocksMHz) != 3 {
		t.Errorf("a change that is all kept: %+v", c)
	}
	if s.CPUFrac() <= 0 {
		t.Error("sampling was free")
	}
}

func TestSampler_BeforeStart(t *testing.T) {
	m, _ := fixtureMachine(t, nil)
	from := nowNs()
	s, err := StartSampler(m, DefaultSamplerOptions())
	if err != nil {
		t.Fatal(err)
	}
	s.Stop()
	if samples, whole := s.Between(from, nowNs()); len(samples) != 1 || !whole {
		t.Errorf("from just before the start: %d samples, whole %t", len(samples), whole)
	}
	if _, whole := s.Between(s.startNs-2*s.everyNs, nowNs()); whole {
		t.Error("from two samples before the start: whole")
	}
}

func TestStartSampler_Errors(t *testing.T) {
	for _, o := range []SamplerOptions{{EveryMs: 0, Keep: 1}, {EveryMs: 1, Keep: 0}} {
		want := fmt.Sprintf("sampler: every %d ms, keep %d: both must be 1 or more", o.EveryMs, o.Keep)
		if _, err := StartSampler(NewMachine(NewHost()), o); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// TestSampler_Blocked: a device that hangs does not stop the host's samples.
func TestSampler_Blocked(t *testing.T) {
	g := newFakeGPU()
	release := make(chan struct{})
	g.gauges = func() Gauges { <-release; return Gauges{} }
	d := NewDevice("GPU-1", g)
	d.timeout = 10 * time.Millisecond
	m, _ := fixtureMachine(t, map[string]string{"proc/stat": statFile([3]int{1, 1, 0})}, d)
	ticks := make(chan time.Time)
	s := newSampler(m, 10)
	go s.run(ticks, 1)
	for range 3 {
		ticks <- time.Time{}
	}
	s.Stop()
	samples, _ := s.Between(0, nowNs())
	if len(samples) != 4 {
		t.Errorf("%d samples, want 4", len(samples))
	}
	for _, x := range samples {
		if x.Devices[0].Unanswered == "" || x.AfterNs < x.BeforeNs || len(x.Processes) != 0 {
			t.Errorf("sample %+v", x)
		}
	}
	close(release)
	d.Close()
}

// BenchmarkSample is one sample of this machine, with one watched process and a
// device that costs nothing. core% is its share of a core at 10 Hz.
func BenchmarkSample(b *testing.B) {
	for _, slow := range []bool{false, true} {
		b.Run(map[bool]string{false: "fast", true: "slow"}[slow], func(b *testing.B) {
			d := NewDevice("GPU-1", newFakeGPU())
			defer d.Close()
			m := NewMachine(NewHost(), d)
			m.Watch(os.Getpid())
			s := series{machine: m, cpu: map[int]cpuReading{}}
			s.next(true)
			for b.Loop() {
				s.next(slow)
			}
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)*10*100, "core%@10Hz")
		})
	}
}

func BenchmarkSnapshot(b *testing.B) {
	m := NewMachine(NewHost())
	m.Watch(os.Getpid())
	for b.Loop() {
		m.Snapshot()
	}
}

func BenchmarkCPUNs(b *testing.B) {
	h := NewHost()
	for b.Loop() {
		h.CPUNs(os.Getpid())
	}
}

// BenchmarkSampler lets one run for 2 s at 10 Hz and asks it for its own cost.
func BenchmarkSampler(b *testing.B) {
	d := NewDevice("GPU-1", newFakeGPU())
	defer d.Close()
	m := NewMachine(NewHost(), d)
	m.Watch(os.Getpid())
	for b.Loop() {
		s, err := StartSampler(m, DefaultSamplerOptions())
		if err != nil {
			b.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		s.Stop()
		b.ReportMetric(100*s.CPUFrac(), "core%")
	}
}
