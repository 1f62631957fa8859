package abtest

import (
	"fmt"
	"strings"
)

// neverCalled says that a library counts its ops and none was called.
func neverCalled(calls map[string]uint64) bool {
	for _, n := range calls {
		if n > 0 {
			return false
		}
	}
	return len(calls) > 0
}

// neverExecuted says that the engine does not call the ops under test, and what
// makes it call them.
func neverExecuted(ops []string, platform string) string {
	var remedies []string
	seen := map[string]bool{}
	for _, op := range ops {
		if r := remedy(op, platform); !seen[r] {
			seen[r] = true
			remedies = append(remedies, r)
		}
	}
	return fmt.Sprintf("the engine never called %s: %s", shorten(ops), strings.Join(remedies, "; "))
}

// shorten lists a few names.
func shorten(names []string) string {
	const most = 6
	if len(names) > most {
		return list(names[:most]) + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return list(names)
}

// Under Inductor vLLM replaces most of its ops by code that Inductor fuses:
// custom_ops is "none" there and "all" otherwise (vllm/config/compilation.py),
// and the IR ops follow a priority of their own (vllm/config/kernel.py).
var (
	irOps     = map[string]bool{"rms_norm": true, "fused_add_rms_norm": true}
	customOps = map[string]bool{
		"silu_and_mul": true, "gelu_new": true, "gelu_fast": true, "gelu_quick": true, "gelu_and_mul": true,
		"gelu_tanh_and_mul": true, "mul_and_silu": true, "fatrelu_and_mul": true, "rotary_embedding": true,
	}
	// On x86 these layers run torch's own code whatever the flags are
	// (vllm/model_executor/layers/activation.py, layernorm.py: forward_cpu).
	nativeOnCPU = map[string]bool{
		"silu_and_mul": true, "gelu_and_mul": true, "gelu_tanh_and_mul": true, "gelu_new": true, "gelu_fast": true,
		"gelu_quick": true, "rms_norm": true, "fused_add_rms_norm": true, "mul_and_silu": true,
	}
)

// remedy says what makes the engine call op.
func remedy(op, platform string) string {
	name := op[strings.LastIndex(op, ":")+1:]
	switch {
	case platform == "cpu" && nativeOnCPU[name]:
		return "on a CPU vLLM runs torch's own code for " + name + ", whatever the flags"
	case irOps[name]:
		return fmt.Sprintf("--ir-op-priority %s=vllm_c or --eager makes it call %s", name, name)
	case customOps[name]:
		return fmt.Sprintf("--custom-ops +%s or --eager makes it call %s", name, name)
	}
	return fmt.Sprintf("choose a model, dtype, quantisation or backend that uses %s", name)
}
