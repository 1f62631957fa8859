package telemetry

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// SamplerOptions say how often to sample and how many samples to keep.
type SamplerOptions struct {
	EveryMs int
	// Keep bounds the memory: later samples overwrite the oldest.
	Keep int
	// GPM reads the devices' performance counters too, every other second.
	GPM bool
}

// DefaultSamplerOptions are 10 Hz for 20 minutes, which is at most some 20 MB with
// two devices and a hundred CPUs.
func DefaultSamplerOptions() SamplerOptions { return SamplerOptions{EveryMs: 100, Keep: 12_000} }

// Validate says what is out of range.
func (o SamplerOptions) Validate() error {
	if o.EveryMs < 1 || o.Keep < 1 {
		return fmt.Errorf("sampler: every %d ms, keep %d: both must be 1 or more", o.EveryMs, o.Keep)
	}
	return nil
}

// Sample is the machine at one moment. Shares are those since the sample before.
type Sample struct {
	BeforeNs int64           `json:"before_ns"`
	AfterNs  int64           `json:"after_ns"`
	Devices  []DeviceReading `json:"devices"` // gauges; see slowEvery for the rest

	// Once a second, since the slow sample before. The kernel counts in ticks of
	// 10 ms: a tenth of a second has ten of them, and reading them is what would
	// cost most of a sample.
	CPUBusyFrac  Value[float64] `json:"cpu_busy_frac"` // of all CPUs
	CoreBusyFrac []float64      `json:"core_busy_frac"`
	StealFrac    Value[float64] `json:"steal_frac"`    // of the time in which CPUs had work
	FrequencyMHz Value[float64] `json:"frequency_mhz"` // of working CPUs

	Processes []ProcessSample `json:"processes"`
}

// ProcessSample is a watched process with all below it.
type ProcessSample struct {
	PID      int            `json:"pid"`
	CPUFrac  Value[float64] `json:"cpu_frac"`  // CPUs kept busy; may be above 1
	RSSBytes Value[int64]   `json:"rss_bytes"` // once a second
	PIDs     []int          `json:"pids"`      // of the tree, looked for once a second

	// Every tenth second: threads of the tree, and their involuntary context
	// switches since each began.
	Threads             Value[int64] `json:"threads"`
	InvoluntarySwitches Value[int64] `json:"involuntary_switches"`
}

// What a sampler may cost is half a percent of a core, 5 ms a second. Ten samples
// of gauges and of the processes' CPU time take 2 ms; CPU times on the machine with
// an H200 on which that was measured (BenchmarkParts, BenchmarkNVML).
const (
	// slowEvery is how often CPUs, their frequencies, which can interrupt them, the
	// processes' memory and children, and the users of the devices are read: 0.6 ms,
	// and 1 ms more where the frequencies can be told.
	slowEvery = time.Second
	// gpmEvery is how many slow readings there are to one of the devices'
	// performance counters: 2.4 ms.
	gpmEvery = 2
	// rareEvery is the same for the devices' counters, 6 ms, and the threads, 25 µs
	// each.
	rareEvery = 10
)

// Sampler samples a machine until it is stopped.
type Sampler struct {
	machine *Machine
	gpm     bool
	stop    chan struct{}
	ended   chan struct{}
	ending  sync.Once
	cpuNs   atomic.Int64 // used by the sampler's thread

	everyNs       int64
	startNs       int64
	devicesBefore int64 // CPU time that the devices had used at the start

	mu      sync.Mutex
	ring    []Sample
	next    int  // where the next sample goes once the ring is full
	dropped bool // a sample was overwritten
}

// StartSampler begins at once. Errors: options out of range.
func StartSampler(m *Machine, o SamplerOptions) (*Sampler, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	every := time.Duration(o.EveryMs) * time.Millisecond
	ticker := time.NewTicker(every)
	s := newSampler(m, o.Keep)
	s.gpm, s.everyNs = o.GPM, every.Nanoseconds()
	go func() {
		defer ticker.Stop()
		s.run(ticker.C, max(1, int(slowEvery/every)))
	}()
	return s, nil
}

func newSampler(m *Machine, keep int) *Sampler {
	return &Sampler{
		machine: m, stop: make(chan struct{}), ended: make(chan struct{}),
		startNs: nowNs(), devicesBefore: m.devicesCPUNs(), ring: make([]Sample, 0, keep),
	}
}

// run samples on every tick, and reads everything on each slow one. A tick that
// falls into a long sample is lost, not made up for.
func (s *Sampler) run(ticks <-chan time.Time, slow int) {
	defer close(s.ended)
	// On a thread of its own, so that its CPU time can be told. It did other work
	// before.
	runtime.LockOSThread()
	idle := threadCPUNs()
	series := series{machine: s.machine, gpm: s.gpm, cpu: map[int]cpuReading{}}
	for n := 0; ; n++ {
		sample := series.next(n%slow == 0)
		s.keep(sample)
		s.cpuNs.Store(threadCPUNs() - idle)
		select {
		case <-ticks:
		case <-s.stop:
			return
		}
	}
}

func (s *Sampler) keep(sample Sample) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ring) < cap(s.ring) {
		s.ring = append(s.ring, sample)
		return
	}
	s.ring[s.next] = sample
	s.next = (s.next + 1) % len(s.ring)
	s.dropped = true
}

// Stop ends sampling; what was sampled stays. It may be called twice.
func (s *Sampler) Stop() {
	s.ending.Do(func() { close(s.stop) })
	<-s.ended
}

// Between gives the samples that lie wholly within [fromNs, toNs], in order.
// whole is false if some of that time is before the oldest sample kept: more of it
// than there is between two.
func (s *Sampler) Between(fromNs, toNs int64) (samples []Sample, whole bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.ring {
		sample := &s.ring[(s.next+i)%len(s.ring)]
		if sample.BeforeNs >= fromNs && sample.AfterNs <= toNs {
			samples = append(samples, *sample)
		}
	}
	oldestNs := s.startNs
	if s.dropped {
		oldestNs = s.ring[s.next].BeforeNs
	}
	return samples, oldestNs <= fromNs+s.everyNs
}

// Change is after.Since(before) with the samples in between.
func (s *Sampler) Change(before, after Snapshot) Change {
	samples, whole := s.Between(before.AfterNs, after.BeforeNs)
	c := after.Since(before, samples)
	c.Unsampled = c.Unsampled || !whole
	return c
}

// CPUFrac is the sampler's own cost so far: CPU time of its thread and of those
// that read the devices, per time. 0.005 is half a percent of one core.
func (s *Sampler) CPUFrac() float64 {
	used := s.cpuNs.Load() + s.machine.devicesCPUNs() - s.devicesBefore
	return float64(used) / float64(max(1, nowNs()-s.startNs))
}

func (m *Machine) devicesCPUNs() int64 {
	var sum int64
	for _, d := range m.devices {
		sum += d.CPUNs()
	}
	return sum
}
