package bottleneck

import "fmt"

const (
	interferes    = 0.1 // ι from which prompts in decode steps matter
	bandwidthFull = 0.6 // η from which a decode step is about as fast as memory allows
)

// advice names what acts on a class, with the flags of vllm serve of the same
// names as its EngineArgs, as of vLLM 0.26.
func advice(c Class, e *Evidence) []string {
	switch c {
	case Prefill:
		return prefillAdvice(e)
	case Decode:
		return decodeAdvice(e)
	case HostBound:
		return hostAdvice(e)
	case LowUtilisation:
		if d := e.Device; d != nil && d.Empty < d.Host+d.Between {
			return hostAdvice(e)
		}
		return []string{"send more load to this engine, or use fewer devices: lower --tensor-parallel-size or --data-parallel-size"}
	case QueueBuildUp:
		return queueAdvice(e)
	case MemoryPressure:
		return memoryAdvice(e)
	case HighVariance:
		return varianceAdvice(e)
	}
	return nil
}

func prefillAdvice(e *Evidence) []string {
	out := []string{
		"where prompts share a beginning, keep its KV cache: --enable-prefix-caching",
		"a faster attention kernel for long prompts: --attention-backend",
	}
	if e.InterferenceFrac > interferes {
		return append([]string{fmt.Sprintf("prompts slow down decoding requests (ι %.2f): a smaller token budget, --max-num-batched-tokens, or --long-prefill-token-threshold", e.InterferenceFrac)}, out...)
	}
	return append(out, "prompts in larger chunks: raise --max-num-batched-tokens (with --enable-chunked-prefill)")
}

func decodeAdvice(e *Evidence) []string {
	faster := []string{
		"read the weights for more requests at once: raise --max-num-seqs and send more load",
		"read fewer bytes: --quantization, --kv-cache-dtype fp8",
		"more tokens a step: --speculative-config",
	}
	kernels := "find the kernels that take the time with stepbench steps, and compare replacements with stepbench ab"
	switch {
	case e.BandwidthFrac == nil:
		return append(faster, "how close a step is to memory bandwidth is not known; "+kernels)
	case *e.BandwidthFrac >= bandwidthFull:
		return faster
	default:
		return append([]string{fmt.Sprintf("steps reach %.0f %% of the copy bandwidth: %s", 100**e.BandwidthFrac, kernels)}, faster...)
	}
}

func hostAdvice(e *Evidence) []string {
	if e.OnCPU {
		return []string{
			"share the interpreter's cost among more requests: raise --max-num-seqs and send more load",
			"keep a core free for the interpreter: VLLM_CPU_OMP_THREADS_BIND",
		}
	}
	var out []string
	if e.FullGraphs {
		out = append(out, "decode steps are one graph already, up to the largest of --cudagraph-capture-sizes: the rest is the interpreter's own time")
	} else {
		out = append(out, "launch a step as one graph: no --enforce-eager, --cudagraph-capture-sizes up to the batch, cudagraph_mode FULL_AND_PIECEWISE in --compilation-config")
	}
	if !e.AsyncScheduling {
		out = append(out, "schedule the next step while the device works: --async-scheduling")
	}
	return append(out, "share the host's cost among more requests: raise --max-num-seqs and send more load")
}

func moreKV(e *Evidence) string {
	if e.OnCPU {
		return "a larger KV cache: VLLM_CPU_KVCACHE_SPACE or --kv-cache-memory-bytes"
	}
	return "a larger KV cache: --gpu-memory-utilization or --kv-cache-memory-bytes, or more devices with --tensor-parallel-size"
}

func queueAdvice(e *Evidence) []string {
	scaleOut := "add engines (--data-parallel-size) or devices (--tensor-parallel-size), or lower the load"
	w := e.Waiting
	if w == nil {
		return []string{scaleOut}
	}
	switch max(w.KV, w.Seqs, w.Tokens, w.Compute) {
	case w.KV:
		return []string{moreKV(e), scaleOut}
	case w.Seqs:
		return []string{fmt.Sprintf("raise --max-num-seqs%s, which bound most of the waiting time", now(e.MaxSeqs)), scaleOut}
	case w.Tokens:
		return []string{fmt.Sprintf("raise --max-num-batched-tokens%s, which bound most of the waiting time", now(e.MaxTokens)), scaleOut}
	default:
		return []string{"no limit bound, steps take too long: " + scaleOut}
	}
}

func now(limit int) string {
	if limit <= 0 {
		return ""
	}
	return fmt.Sprintf(" (now %d)", limit)
}

func memoryAdvice(e *Evidence) []string {
	return []string{
		moreKV(e),
		"smaller entries: --kv-cache-dtype fp8; smaller weights: --quantization",
		"fewer or shorter sequences at once: lower --max-num-seqs or --max-model-len",
	}
}

func varianceAdvice(e *Evidence) []string {
	s := e.Slow
	switch {
	case s != nil && s.Preempted > 0.5:
		return append([]string{"slow tokens coincide with preemption:"}, memoryAdvice(e)...)
	case s != nil && s.Mixed > 0.5 && s.Mixed > s.AllMixed+0.1:
		return []string{"slow tokens coincide with prompts in the same step: lower --max-num-batched-tokens or set --long-prefill-token-threshold"}
	case e.QueueFrac >= 0.2:
		return append([]string{"requests wait for different lengths of time:"}, queueAdvice(e)...)
	default:
		return []string{"slow tokens coincide with neither prompts nor preemption: look for changing clocks and other load on the machine"}
	}
}
