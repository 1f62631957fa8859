package build

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDefinedFunctions(t *testing.T) {
	const output = `rotary_embedding(at::Tensor&, at::Tensor&, std::optional<at::Tensor>, long, at::Tensor&, bool, long, bool) T 0000000000001a40 0000000000000c51
cpu_utils::expand(at::Tensor&) T 0 10
plain_c_function T 20 8
void templated<float>(float*) W 0 3b
void vllm::kernel<c10::Half>(c10::Half*) T 0 3b
std::vector<int, std::allocator<int> >::~vector() W 0 1f
some_table D 0 10
vtable for Thing V 0 18
(anonymous namespace)::hidden() T 0 1
no_size() T 30
silu_and_mul(torch::stable::Tensor&, torch::stable::Tensor&) T 0 22
`
	want := []string{"cpu_utils::expand", "no_size", "plain_c_function", "rotary_embedding", "silu_and_mul"}
	if diff := cmp.Diff(want, definedFunctions(output)); diff != "" {
		t.Error(diff)
	}
}
