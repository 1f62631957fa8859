set_source_files_properties([=[/cache/dir/v_x/_C_AVX2.register.cpp]=] PROPERTIES COMPILE_OPTIONS
  [=[-iquote/tree/csrc/cpu;-fopenmp;-mavx2;-DTORCH_EXTENSION_NAME=_C_AVX2]=])
set_source_files_properties([=[/tree/csrc/libtorch_stable/activation_kernels.cu]=] PROPERTIES STEPBENCH_OPTIONS
  [=[-I/tree/csrc;-isystem;/venv/site-packages/torch/include;-isystem;/venv/site-packages/torch/include/torch/csrc/api/include;-isystem;/python/include;-DTORCH_EXTENSION_NAME=_C_AVX2;-std=c++20;-O2;-DNDEBUG;-ccbin=/usr/bin/g++;-Xcompiler=-fPIC;--expt-relaxed-constexpr;--expt-extended-lambda;-DONNX_NAMESPACE=onnx_c2;-DENABLE_FP8;-gencode;arch=compute_90,code=sm_90;-Xcompiler=-ffile-prefix-map=/cache/override=override;-Xcompiler=-ffile-prefix-map=/venv/site-packages=site-packages;-Xcompiler=-ffile-prefix-map=/tree=.;-Xcompiler=-ffile-prefix-map=/cache/dir/v_x=build]=])
# The precompiled header takes longer to load than this source to compile.
set_source_files_properties([=[/cache/override/calls.cpp]=] PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
stepbench_add_variant(v_x
  UNITS
    [=[/tree/csrc/libtorch_stable/activation_kernels.cu]=]
  REGISTRATION
    [=[/cache/dir/v_x/_C_AVX2.register.cpp]=]
    [=[/cache/override/calls.cpp]=]
  OUTPUT
    [=[/cache/dir/v_x/override.so]=]
  LINK
    [=[/venv/site-packages/torch/lib/libtorch.so]=]
    [=[/venv/site-packages/torch/lib/libtorch_cpu.so]=]
    [=[/venv/site-packages/torch/lib/libc10.so]=]
    [=[/venv/site-packages/torch/lib/libtorch_cuda.so]=]
    [=[/venv/site-packages/torch/lib/libc10_cuda.so]=]
  SYSTEM_INCLUDES
    [=[/venv/site-packages/torch/include]=]
    [=[/venv/site-packages/torch/include/torch/csrc/api/include]=]
    [=[/python/include]=]
  INCLUDES
    [=[/tree/csrc]=]
    [=[/cache/override]=]
  OPTIONS
    [=[-ffile-prefix-map=/cache/override=override]=]
    [=[-ffile-prefix-map=/venv/site-packages=site-packages]=]
    [=[-ffile-prefix-map=/tree=.]=]
    [=[-ffile-prefix-map=/cache/dir/v_x=build]=]
  NVCC
    [=[/cuda/bin/nvcc]=]
)
