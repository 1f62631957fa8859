// In the shape of vLLM's csrc/cpu/torch_bindings.cpp.
#include "ops.h"
#include "core/registration.h"

#include <torch/library.h>

#define TORCH_EXTENSION_NAME _C

void gemm(torch::Tensor& out, const torch::Tensor& a);  // a "declaration" (with quotes)

namespace cpu_utils {
void expand(torch::Tensor& out);
}

TORCH_LIBRARY_EXPAND(TORCH_EXTENSION_NAME, ops) {
  // ops.impl("in_a_comment", torch::kCPU, &in_a_comment);
  ops.def("silu(Tensor! out, Tensor input) -> ()");
  ops.impl("silu", torch::kCPU, &silu);

  // The function's name is not the op's, and the call has several lines.
  ops.def(
      "four_bit(Tensor x,"
      " str kind=\"auto\") -> Tensor");
  ops.impl("four_bit",
           torch::kCPU,
           &four_bit_moe_cpu);

#if defined(__AVX512F__) || \
    defined(__riscv)
  ops.impl("gemm", torch::kCPU, &gemm);
#else
  ops.def("gemm_handler(int size) -> int", &gemm_handler);
#endif

  ops.def("expand(Tensor(a0!) out) -> ()", &cpu_utils::expand);
  ops.def("placeholder() -> ()", placeholder_op);
  ops.impl("lambda", torch::kCPU, [](const at::Tensor& x) { return x; });
}

REGISTER_EXTENSION(TORCH_EXTENSION_NAME)
