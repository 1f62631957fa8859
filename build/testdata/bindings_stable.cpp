// In the shape of vLLM's csrc/libtorch_stable/torch_bindings.cpp.
#include "ops.h"

#include <torch/csrc/stable/library.h>

STABLE_TORCH_LIBRARY_FRAGMENT(_C, ops) {
  ops.def("rms_norm(Tensor! out, Tensor input) -> ()");
  ops.def("quant.out(Tensor input, *, Tensor(a!) out) -> ()");
}

STABLE_TORCH_LIBRARY_IMPL(_C, CUDA, ops) {
  ops.impl("rms_norm", TORCH_BOX(&rms_norm));
#ifndef USE_ROCM
  ops.impl("quant.out",
           TORCH_BOX(&quant_out));
#endif
}

STABLE_TORCH_LIBRARY_FRAGMENT(_C_cuda_utils, cuda_utils) {
  cuda_utils.def("attribute(int a) -> int");
}

STABLE_TORCH_LIBRARY_IMPL(_C_cuda_utils, CompositeExplicitAutograd,
                          cuda_utils) {
  cuda_utils.impl("attribute", TORCH_BOX(&attribute));
}

#ifdef WITH_CACHE
STABLE_TORCH_LIBRARY_IMPL(_C_cache_ops, CPU, ops) {
  ops.impl("swap", TORCH_BOX(&swap));
}
#endif

REGISTER_EXTENSION(_C_stable_libtorch)
