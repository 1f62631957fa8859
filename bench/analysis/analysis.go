// Package analysis is what the records of a suite show, as figures, reports and
// exports need it. Load computes it from a suite directory; nothing in it was
// measured elsewhere, and what the records do not support is absent, never zero.
package analysis

import (
	"time"

	"stepbench/bench/bottleneck"
	"stepbench/bench/record"
	"stepbench/bench/stats"
	"stepbench/bench/workload"
	"stepbench/engine"
)

// Analysis is a whole suite.
type Analysis struct {
	Suite    string       `json:"suite"`
	Profile  string       `json:"profile"` // quick or standard
	State    record.State `json:"state"`
	StartUTC time.Time    `json:"start_utc"`
	EndUTC   time.Time    `json:"end_utc,omitzero"`
	Tool     record.Tool  `json:"tool"`
	Args     []string     `json:"args"`
	Host     record.Host  `json:"host"`
	// SLO is what goodput counts by; nil if the suite has none.
	SLO *workload.SLO `json:"slo,omitempty"`
	// Engines are the engine configurations that were opened, in order.
	Engines []Engine `json:"engines"`
	// Points are the measured configurations in the suite's order.
	Points []Point `json:"points"`
	// NotRun is what the suite names and nobody measured.
	NotRun []NotRun `json:"not_run,omitempty"`
	// Scaling is absent with fewer than two numbers of devices.
	Scaling []Scaling `json:"scaling,omitempty"`
	// Recommended is the highest unsaturated rate within the SLO, nil if none is.
	Recommended *Recommendation `json:"recommended,omitempty"`
	// Roadmap is what to do first: bottlenecks over all points by their bound.
	Roadmap  []RoadmapItem `json:"roadmap,omitempty"`
	Warnings []string      `json:"warnings,omitempty"`
}

// Engine is one engine configuration as it was opened.
type Engine struct {
	Name   string         `json:"name"` // "gpt2", "llama-2-7b tp=2"
	Config engine.Config  `json:"config"`
	Info   engine.Info    `json:"info"`
	Memory []DeviceMemory `json:"memory,omitempty"` // absent on a CPU
	// WeightBytes and KVBytes are from the model's shape, 0 if it is not known.
	WeightBytes int64 `json:"weight_bytes,omitempty"`
	KVBytes     int64 `json:"kv_bytes,omitempty"`
	// Profiled are the shapes of steps that were profiled, with the times of ranks.
	Profiled []bottleneck.Bucket `json:"profiled_shapes,omitempty"`
	RSSBytes int64               `json:"rss_bytes,omitempty"` // largest seen of the worker's processes together
}

// DeviceMemory is the largest use seen of one device, by anyone, and its size.
type DeviceMemory struct {
	UUID       string `json:"uuid"`
	UsedBytes  int64  `json:"used_bytes"`
	TotalBytes int64  `json:"total_bytes,omitempty"` // 0: not known
}

// Point is one configuration: a model under a load.
type Point struct {
	ID    string `json:"id"`    // unique, fit for a file name
	Label string `json:"label"` // short, for an axis of a figure
	// Axis is what the point varies: base, dataset, rate, pattern, model or
	// parallelism.
	Axis        string  `json:"axis"`
	Engine      int     `json:"engine"` // index into Engines
	Model       string  `json:"model"`
	Dataset     string  `json:"dataset"`
	Stand       bool    `json:"synthetic_stand_in,omitempty"` // random tokens stand in for the named dataset
	Pattern     string  `json:"pattern"`                      // an arrival pattern, "offline" or "closed"
	RatePerS    float64 `json:"rate_per_s,omitempty"`         // asked for; 0 offline and closed
	Concurrency int     `json:"concurrency,omitempty"`
	TP          int     `json:"tp"`
	PP          int     `json:"pp"`
	Devices     int     `json:"devices"` // GPUs, or CPU ranks

	Repeats []Repeat `json:"repeats"`
	// Requests and the values below are over the valid repeats. An interval over
	// repeats is Student's; one repeat has the bootstrap's, WithinRun.
	Requests     int             `json:"requests"`
	WithinRun    bool            `json:"within_run"`
	Offered      *Value          `json:"offered_per_s,omitempty"`
	Achieved     *Value          `json:"achieved_per_s,omitempty"`
	OutputTokens *Value          `json:"output_tokens_per_s,omitempty"`
	TotalTokens  *Value          `json:"total_tokens_per_s,omitempty"`
	Goodput      *Value          `json:"goodput_per_s,omitempty"`
	Latency      map[string]Dist `json:"latency"` // ttft tpot itl e2e queue prefill decode admission
	// Shares of the requests' time: queue, prefill, decode. They add up to 1.
	Shares   map[string]Value `json:"shares,omitempty"`
	HostFrac *Value           `json:"host_frac,omitempty"` // of E2E: in service, device idle
	// Device is how the window was spent, fractions adding up to 1; nil if not
	// known. Utilisation is the device's own counter, or the process's CPU share
	// where there is no device.
	Device      *DeviceTime `json:"device,omitempty"`
	Utilisation *Value      `json:"utilisation_frac,omitempty"`
	// GPM are means of performance counters over devices and window, as fractions:
	// sm_util, sm_occupancy, tensor_util, dram_bandwidth_util; what a device does
	// not return is not in it. GPMProblem is why readings are missing, all or some.
	GPM        map[string]Value      `json:"gpm_frac,omitempty"`
	GPMProblem string                `json:"gpm_problem,omitempty"`
	Ranks      []RankUse             `json:"ranks,omitempty"` // none where the engine is one process
	CPU        *CPUUse               `json:"cpu,omitempty"`
	Saturation workload.Verdict      `json:"saturation"`
	Steps      []workload.PhaseSteps `json:"steps,omitempty"` // of the first valid repeat
	Bottleneck *bottleneck.Report    `json:"bottleneck,omitempty"`
	Flags      []string              `json:"flags,omitempty"`
	Problem    string                `json:"problem,omitempty"` // why there are no values
}

// Repeat is one run of a point.
type Repeat struct {
	Dir     string       `json:"dir"` // relative to the suite's
	State   record.State `json:"state"`
	Valid   bool         `json:"valid"`
	Problem string       `json:"problem,omitempty"`
	E2ENs   []float64    `json:"-"` // of measured, completed requests, for histograms
	// Workload identifies the requests and their arrivals: repeats of two suites
	// with the same one are a pair.
	Workload string `json:"workload_sha256,omitempty"`
	// WholeRun: rates count from the start to the last completion, offline and
	// where the arrivals took too short a time for the system to settle.
	WholeRun bool `json:"whole_run,omitempty"`
	// WarmUp says whether the measured window had to begin later than planned; nil
	// where that is not looked at.
	WarmUp *workload.WarmUp `json:"warm_up,omitempty"`
	// Censored is how many measured requests were cut off before their end.
	Censored int `json:"censored_requests,omitempty"`
	// Values are the statistics of this repeat alone: achieved_per_s,
	// output_tokens_per_s, total_tokens_per_s, goodput_per_s, host_frac,
	// utilisation_frac, gpm_NAME_frac, PHASE_frac, and LATENCY_mean_ns, _p50_ns, _p90_ns, _p99_ns.
	Values map[string]float64 `json:"values,omitempty"`
}

// Value is a number with its 95 % interval, nil where that does not exist.
type Value struct {
	V  float64         `json:"value"`
	CI *stats.Interval `json:"ci,omitempty"`
}

// Dist describes one latency in ns. Percentiles are absent where the requests
// are too few for them.
type Dist struct {
	N    int    `json:"n"`
	Mean *Value `json:"mean_ns,omitempty"`
	P50  *Value `json:"p50_ns,omitempty"`
	P90  *Value `json:"p90_ns,omitempty"`
	P99  *Value `json:"p99_ns,omitempty"`
}

// DeviceTime is how a window was spent. Busy is the union of kernels (on a CPU:
// of ops), from profiled bursts of the same shapes, or the driver's utilisation
// where Coarse.
type DeviceTime struct {
	Busy      float64 `json:"busy_frac"`    // u
	Host      float64 `json:"host_frac"`    // h: inside step, device idle
	BetweenSt float64 `json:"between_frac"` // z: requests in the system, outside step
	Empty     float64 `json:"empty_frac"`   // o: nothing to do
	Coarse    bool    `json:"coarse"`
}

// CPUUse is the worker's and this program's CPU, in cores.
type CPUUse struct {
	WorkerCores  float64 `json:"worker_cores"`
	ParentCores  float64 `json:"parent_cores"`
	Threads      int     `json:"threads"`
	SwitchesPerS float64 `json:"involuntary_switches_per_s"`
	// ByComponent is µs a step of the parts that run on the host: schedule,
	// execute, sample, update, output, stats, core, bridge.
	ByComponent map[string]float64 `json:"us_per_step_by_component,omitempty"`
	// ByThread is the worker's CPU by names of threads, most first.
	ByThread []ThreadUse `json:"by_thread,omitempty"`
	// SamplerFrac is what sampling cost, of one core.
	SamplerFrac float64 `json:"sampler_frac"`
}

// ThreadUse is the CPU of the threads of one name.
type ThreadUse struct {
	Name    string  `json:"name"`
	Threads int     `json:"threads"`
	Cores   float64 `json:"cores"`
}

// NotRun is a configuration without a measurement and why.
type NotRun struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

// Scaling is one number of devices against the smallest under the same load.
type Scaling struct {
	Label      string `json:"label"`
	Devices    int    `json:"devices"`
	Throughput Value  `json:"output_tokens_per_s"`
	SpeedUp    Value  `json:"speed_up"`
	Efficiency Value  `json:"efficiency"`
	KarpFlatt  *Value `json:"karp_flatt,omitempty"`
	Amdahl     *Value `json:"amdahl_serial_frac,omitempty"` // same in every row of a load
	Indicative bool   `json:"indicative"`                   // from under three numbers of devices
}

// Recommendation is an operating point and the reason.
type Recommendation struct {
	Point int    `json:"point"` // index into Points
	Why   string `json:"why"`
}

// RoadmapItem is a bottleneck worth removing, with Amdahl's bound.
type RoadmapItem struct {
	Class  string   `json:"class"`
	Bound  float64  `json:"bound"` // largest speed-up if it vanished: 1/(1-x); 0: no limit
	Points []int    `json:"points"`
	Advice []string `json:"advice"`
}
