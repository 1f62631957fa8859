package record

import (
	"fmt"
	"os"
	"path/filepath"

	"stepbench/bench/telemetry"
)

// TelemetryFile holds the samples of a run, if any were taken.
const TelemetryFile = "telemetry.parquet"

// Telemetry is what the machine did during a run, in sums; the samples are in
// TelemetryFile. Unknown values are null.
type Telemetry struct {
	SampleHz float64 `json:"sample_hz"` // 0: only the ends of the run were read
	Samples  int     `json:"samples"`
	// Truncated: the run was longer than the sampler keeps; the first are lost.
	Truncated bool `json:"truncated,omitempty"`
	// SamplerCPUFrac is what sampling cost, of one core; null without sampling.
	SamplerCPUFrac telemetry.Value[float64] `json:"sampler_cpu_frac"`

	// Change is of all counters from the run's first moment to its last. Samples
	// of clocks and frequencies are in the table and left out here.
	Change telemetry.Change `json:"change"`
	// ParentCPUNs is the CPU time of this program, the sampler included.
	ParentCPUNs telemetry.Value[int64] `json:"parent_cpu_ns"`
	// WorkerThreads is the CPU time of the worker's threads by name, most first.
	WorkerThreads []telemetry.ThreadCPU `json:"worker_threads,omitempty"`
	// RSSBytes is the largest seen of the worker's processes together.
	RSSBytes telemetry.Value[int64] `json:"rss_bytes_max"`
	// Threads is the number of the worker's threads last seen.
	Threads telemetry.Value[int64] `json:"threads"`
}

// Watched is what a run's telemetry reads.
type Watched struct {
	Host      *telemetry.Host
	Devices   []*telemetry.Device // none: no columns of devices are filled
	WorkerPID int                 // 0: no worker process
	SampleHz  float64             // 0 reads the counters at both ends only
}

// watch is telemetry in progress.
type watch struct {
	Watched
	machine *telemetry.Machine
	sampler *telemetry.Sampler // nil without sampling
	before  telemetry.Snapshot
	threads map[int]telemetry.ThreadCPU
	parent  telemetry.Value[int64]
}

// samplesKept bounds the memory of a run's samples: an hour at 10 Hz, some 60 MB
// with two devices and a hundred CPUs.
const samplesKept = 36_000

// Watch begins telemetry, which Unwatch ends and Finish writes. Samples wait in
// memory until then: a run that is killed has none.
func (r *Run) Watch(w Watched) error {
	t := &watch{Watched: w, machine: telemetry.NewMachine(w.Host, w.Devices...)}
	if w.WorkerPID > 0 {
		t.machine.Watch(w.WorkerPID)
		t.threads = w.Host.Threads(w.WorkerPID)
	}
	_, t.parent = w.Host.CPUNs(os.Getpid())
	t.before = t.machine.Snapshot()
	if w.SampleHz > 0 {
		var err error
		t.sampler, err = telemetry.StartSampler(t.machine, telemetry.SamplerOptions{EveryMs: max(1, int(1e3/w.SampleHz)), Keep: samplesKept, GPM: true})
		if err != nil {
			return fmt.Errorf("watch the machine: %w", err)
		}
	}
	r.watch = t
	return nil
}

// Unwatch ends telemetry while what is watched is still there: a worker that has
// ended and a device that is closed tell nothing more. Measure and Finish do it.
func (r *Run) Unwatch() {
	if r.watch != nil {
		r.Manifest.Telemetry, r.samples = r.watch.end()
		r.watch = nil
	}
}

// end stops telemetry and gives its sums and rows.
func (t *watch) end() (*Telemetry, []telemetryRow) {
	after := t.machine.Snapshot()
	out := &Telemetry{SampleHz: t.SampleHz}
	var samples []telemetry.Sample
	if t.sampler == nil {
		out.Change = after.Since(t.before, nil)
	} else {
		out.SamplerCPUFrac = telemetry.Of(t.sampler.CPUFrac())
		t.sampler.Stop()
		out.Change = t.sampler.Change(t.before, after)
		var whole bool
		samples, whole = t.sampler.Between(t.before.AfterNs, after.BeforeNs)
		out.Samples, out.Truncated = len(samples), !whole
	}
	out.Change.FrequenciesMHz = nil
	for i := range out.Change.Devices {
		out.Change.Devices[i].SMClocksMHz = nil
	}
	if _, used := t.Host.CPUNs(os.Getpid()); used.Known && t.parent.Known {
		out.ParentCPUNs = telemetry.Of(used.V - t.parent.V)
	}
	if t.WorkerPID > 0 {
		after := t.Host.Threads(t.WorkerPID)
		if after != nil {
			out.WorkerThreads, out.Threads = telemetry.ThreadsSince(t.threads, after), telemetry.Of(int64(len(after)))
		}
		if p, ok := out.Change.Process(t.WorkerPID); ok {
			out.RSSBytes = p.RSSBytes
		}
	}
	for i := range samples {
		for _, p := range samples[i].Processes {
			if p.RSSBytes.Known && p.RSSBytes.V > out.RSSBytes.V {
				out.RSSBytes = p.RSSBytes
			}
		}
	}
	return out, telemetryRows(samples)
}

// writeTelemetry puts the samples beside the other tables.
func (r *Run) writeTelemetry(hash string) error {
	if t := r.Manifest.Telemetry; t == nil || t.SampleHz == 0 {
		return nil
	}
	var err error
	r.Manifest.Files[TelemetryFile], err = writeParquet(filepath.Join(r.dir, TelemetryFile), r.samples, hash)
	return err
}

// readTelemetry gives the samples back; none if the run took none.
func (r *Record) readTelemetry(manifestHash string) error {
	file, ok := r.Manifest.Files[TelemetryFile]
	if !ok {
		return nil
	}
	rows, hash, err := readParquet[telemetryRow](filepath.Join(r.Dir, TelemetryFile), file)
	if err != nil {
		return err
	}
	if hash != manifestHash {
		r.Notes = append(r.Notes, otherManifest(TelemetryFile))
	}
	r.Samples = samplesOf(rows)
	return nil
}
