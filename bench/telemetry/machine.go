package telemetry

import (
	"slices"
	"sync"
)

// Machine is what is watched: devices, CPUs and some processes.
type Machine struct {
	host    *Host
	devices []*Device

	mu   sync.Mutex
	pids []int
}

// NewMachine watches host and devices, which the caller closes.
func NewMachine(host *Host, devices ...*Device) *Machine {
	return &Machine{host: host, devices: devices}
}

// Watch sets the processes to be read with all below them: this run's workers.
func (m *Machine) Watch(pids ...int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pids = slices.Clone(pids)
}

func (m *Machine) watched() []int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.pids // never changed in place
}

// Snapshot is the state of all counters at one end of an interval.
type Snapshot struct {
	BeforeNs   int64            `json:"before_ns"`
	AfterNs    int64            `json:"after_ns"`
	Devices    []DeviceReading  `json:"devices"`
	CPUs       []CPUTime        `json:"cpus"`
	Throttling Throttling       `json:"throttling"`
	Processes  []ProcessReading `json:"processes"`
}

// Snapshot reads everything, devices and processes side by side: between two
// bursts every millisecond is a gap. A device that does not answer costs a
// second, the first time.
func (m *Machine) Snapshot() Snapshot {
	pids := m.watched()
	s := Snapshot{BeforeNs: nowNs(), Devices: make([]DeviceReading, len(m.devices)), Processes: make([]ProcessReading, len(pids))}
	var all sync.WaitGroup
	for i, d := range m.devices {
		all.Go(func() { s.Devices[i] = d.Read() })
	}
	for i, pid := range pids {
		all.Go(func() { s.Processes[i] = m.host.Process(pid) })
	}
	s.CPUs = m.host.CPUs()
	s.Throttling = m.host.Throttling()
	all.Wait()
	s.AfterNs = nowNs()
	return s
}
