package bottleneck

// Evidence is what Classify decides by, over one window of a run. FromRun
// computes it; a fraction is of 1. A nil pointer is what the records do not
// tell.
type Evidence struct {
	// Invalid is why the run's numbers mean nothing, empty if they do.
	Invalid string  `json:"invalid,omitempty"`
	WindowS float64 `json:"window_s"`
	// Requests are those that completed with every stamp; the shares are theirs.
	Requests int  `json:"requests"`
	OnCPU    bool `json:"on_cpu,omitempty"`
	// What the engine does already, so that nobody is advised to do it.
	FullGraphs      bool `json:"full_graphs,omitempty"` // a decode step is one CUDA graph
	AsyncScheduling bool `json:"async_scheduling,omitempty"`
	// Queued: several batches were in flight, so that nothing is known of steps.
	Queued bool `json:"queued_batches,omitempty"`

	// Device is how the window was spent; nil if not known.
	Device *Budget `json:"device,omitempty"`

	// Latency shares: of Σ E2E, the time before first scheduled, from there to
	// the first token, and from there to the last. They sum to 1.
	QueueFrac   float64 `json:"queue_frac"`   // r_q
	PrefillFrac float64 `json:"prefill_frac"` // r_p
	DecodeFrac  float64 `json:"decode_frac"`  // r_d
	// InterferenceFrac is the share of decode time that prompts in the same
	// steps added.
	InterferenceFrac float64 `json:"interference_frac"` // ι
	// Device idle share inside steps with prompt tokens, and inside pure decode
	// steps; nil if not known.
	PrefillIdleFrac *float64 `json:"prefill_idle_frac,omitempty"` // β_p
	DecodeIdleFrac  *float64 `json:"decode_idle_frac,omitempty"`  // β_d

	// Open loops only.
	OpenLoop     bool    `json:"open_loop"`
	OfferedPerS  float64 `json:"offered_per_s,omitempty"`
	AchievedPerS float64 `json:"achieved_per_s,omitempty"`
	Saturated    bool    `json:"saturated"`

	OutOfMemory bool    `json:"out_of_memory,omitempty"`
	KVDenied    float64 `json:"kv_denied_frac"`    // m_d: of the wanted concurrency
	Recomputed  float64 `json:"recomputed_frac"`   // p_w: of computed tokens, after preemption
	KVUsageP95  float64 `json:"kv_usage_frac_p95"` // kv95
	Preempted   int     `json:"preemptions"`

	// LatencyCV is the coefficient of variation of E2E per output token within
	// strata of like lengths; nil with too few requests.
	LatencyCV *float64 `json:"latency_cv,omitempty"` // c
	Slow      *SlowITL `json:"slow_itl,omitempty"`

	// MeanBatch is the mean number of requests in a step.
	MeanBatch float64 `json:"mean_batch"`
	MaxSeqs   int     `json:"max_num_seqs,omitempty"`
	MaxTokens int     `json:"max_num_batched_tokens,omitempty"`
	// Waiting tells which limit bound while requests waited; nil if none did.
	Waiting *Waiting `json:"waiting,omitempty"`
	// BandwidthFrac is η: bytes a decode step reads at least per busy time, of
	// the measured copy bandwidth; nil if not known.
	BandwidthFrac *float64 `json:"bandwidth_frac,omitempty"`
}

// Budget is how a window was spent; the four parts sum to 1.
type Budget struct {
	Busy    float64 `json:"busy_frac"`    // u
	Host    float64 `json:"host_frac"`    // h: inside steps, device idle
	Between float64 `json:"between_frac"` // z: requests unfinished, between steps
	Empty   float64 `json:"empty_frac"`   // o: nothing unfinished
	// Coarse: u is the device's own utilisation counter, or on a CPU the time in
	// execute and sample, since too few steps have a near bucket.
	Coarse bool `json:"coarse,omitempty"`
}

// Waiting is the share of step time with waiting requests in which each limit
// bound; they sum to 1.
type Waiting struct {
	KV      float64 `json:"kv_frac"`
	Seqs    float64 `json:"max_num_seqs_frac"`
	Tokens  float64 `json:"max_num_batched_tokens_frac"`
	Compute float64 `json:"compute_frac"` // none of the limits: steps take too long
}

// SlowITL says what the slowest tenth of inter-token latencies coincide with.
type SlowITL struct {
	N         int     `json:"n"`
	Mixed     float64 `json:"mixed_frac"`     // steps that also computed prompts
	Preempted float64 `json:"preempted_frac"` // steps that preempted
	// AllMixed is Mixed of all inter-token latencies, for comparison.
	AllMixed float64 `json:"all_mixed_frac"`
}
