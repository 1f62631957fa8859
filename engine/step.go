package engine

// Step is one call of LLMEngine.step. The five stamps are CLOCK_MONOTONIC ns
// taken in the shim; the components are durations in ns, each timed on its own
// inside vLLM, none as a remainder of the wall time.
type Step struct {
	Index    int64 // 0 for the first step of the plan or script
	Op       int32 // the script's Op it belongs to; 0 in a plan
	EnterNs  int64 // the shim was entered
	GILNs    int64 // the interpreter lock was held
	CallNs   int64 // LLMEngine.step was called
	ReturnNs int64 // LLMEngine.step returned
	ExitNs   int64 // results were walked, the lock released

	ScheduleNs int64 // Scheduler.schedule
	ExecuteNs  int64 // Executor.execute_model: launch (GPU) or forward (CPU)
	SampleNs   int64 // Executor.sample_tokens: includes the device wait
	UpdateNs   int64 // Scheduler.update_from_output
	OutputNs   int64 // OutputProcessor.process_outputs, and ending what its stop strings ended
	StatsNs    int64 // StatLoggerManager.record, IterationStats, the periodic log
	CoreNs     int64 // EngineCore's own code between schedule, execute, sample and update
	// BridgeNs is the cost of the path from Go into vLLM and back: the time of
	// the Go call less WallNs.
	BridgeNs int64

	CtxReqs   int32 // requests without an output token yet, chunks included
	CtxTokens int32
	GenReqs   int32 // requests past their first output token
	GenTokens int32
	Running   int32 // after the step, as are Waiting and KVUsageFrac
	Waiting   int32
	Preempted int32 // requests that lost their KV cache in this step
	Outputs   int32 // requests that returned tokens
	NewTokens int32

	TokenBudget int32 // limits in force for this step
	SeqBudget   int32
	KVUsageFrac float64 // share of KV cache blocks in use, 0..1

	GraphMode    GraphMode
	PaddedTokens int32 // that the model ran on, 0 if not known
}

// GraphMode is how the model's forward pass was launched, as vLLM's dispatcher
// of CUDA graphs answered (CUDAGraphMode in vllm/config/compilation.py).
type GraphMode int32

// The numbers are those of MODES in csrc/adapter/stepbench_adapter/graphs.py.
const (
	GraphUnknown   GraphMode = iota
	GraphNone                // kernel by kernel
	GraphPiecewise           // graphs between attention layers
	GraphFull                // one graph
)

// String is vLLM's name of the mode, empty if it is not known.
func (m GraphMode) String() string {
	switch m {
	case GraphNone:
		return "NONE"
	case GraphPiecewise:
		return "PIECEWISE"
	case GraphFull:
		return "FULL"
	default:
		return ""
	}
}

// WallNs is w, the time inside LLMEngine.step.
func (s *Step) WallNs() int64 { return s.ReturnNs - s.CallNs }

// UnaccountedNs is w less the components.
func (s *Step) UnaccountedNs() int64 {
	return s.WallNs() - s.ScheduleNs - s.ExecuteNs - s.SampleNs - s.UpdateNs - s.OutputNs - s.StatsNs - s.CoreNs
}

// Phase names the step by its work: prefill, decode, mixed or empty.
func (s *Step) Phase() string {
	switch {
	case s.CtxTokens > 0 && s.GenReqs > 0:
		return "mixed"
	case s.CtxTokens > 0:
		return "prefill"
	case s.GenReqs > 0:
		return "decode"
	default:
		return "empty"
	}
}
