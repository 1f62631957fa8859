package abtest

import (
	"strings"

	"stepbench/bench/micro"
)

// Endpoint is the quantity of a step that verdicts rest on.
type Endpoint string

const (
	// Kern is S, the sum of kernel durations, on a GPU: it repeats to 0.1-0.2 %
	// where wall time repeats to 4-9 %.
	Kern Endpoint = "kern"
	// Union is U, the union of the kernels' intervals, on a GPU where kernels
	// overlap, so that their sum is not the time they take.
	Union Endpoint = "union"
	// Op is, on a CPU, the sum over vLLM's own ops, and their places in a step, of
	// the median over steps of the self time. Medians, because on a shared host
	// an op's sum moves with every interruption; by place, because the calls of
	// one op may differ widely, as matrix products do.
	Op Endpoint = "op"
)

// overlapFrac is how far S may exceed U before U is taken.
const overlapFrac = 0.02

// choose is the endpoint for arms on the given platform, decided from A's
// warm-up attribution bursts alone, before anything is compared.
func choose(platform string, warm []*micro.BurstProfile) Endpoint {
	if platform == "cpu" {
		return Op
	}
	var sum, union float64
	for _, p := range warm {
		sum += p.SumNs
		union += p.BusyNs
	}
	if sum > (1+overlapFrac)*union {
		return Union
	}
	return Kern
}

// ns is the endpoint's value of a profiled burst, per step.
func (e Endpoint) ns(p *micro.BurstProfile) float64 {
	switch e {
	case Union:
		return p.BusyNs
	case Op:
		var sum float64
		for i := range p.Rows {
			sum += e.rowNs(&p.Rows[i])
		}
		return sum
	}
	return p.SumNs
}

// rowNs is what a row adds to the endpoint, per step: 0 if it is no part of it.
// Under Union rows add up to S.
func (e Endpoint) rowNs(r *micro.BurstRow) float64 {
	switch {
	case e == Op && isKernelOp(r.Name):
		return r.TypicalNs
	case e == Op || r.Copy:
		return 0
	}
	return r.Ns
}

// Describe says what the endpoint is, for tables.
func (e Endpoint) Describe() string {
	switch e {
	case Op:
		return "time in vLLM's ops (medians)"
	case Union:
		return "device-busy time"
	}
	return "kernel time"
}

// namespaces of vLLM's compiled ops (csrc/**/torch_bindings.cpp).
var namespaces = []string{"_C::", "_C_cache_ops::", "_C_custom_ar::", "_C_cuda_utils::", "_moe_C::", "_C_cpu::"}

func isKernelOp(name string) bool {
	for _, n := range namespaces {
		if strings.HasPrefix(name, n) {
			return true
		}
	}
	return false
}
