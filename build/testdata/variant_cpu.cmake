set_source_files_properties([=[/cache/dir/v_x/_C_AVX2.register.cpp]=] PROPERTIES COMPILE_OPTIONS
  [=[-iquote/tree/csrc/cpu]=])
# The precompiled header takes longer to load than this source to compile.
set_source_files_properties([=[/cache/override/calls.cpp]=] PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
stepbench_add_variant(v_x
  UNITS
    [=[/tree/csrc/cpu/pos_encoding.cpp]=]
  REGISTRATION
    [=[/cache/dir/v_x/_C_AVX2.register.cpp]=]
    [=[/cache/override/calls.cpp]=]
  OUTPUT
    [=[/cache/dir/v_x/override.so]=]
  LINK
    [=[/venv/site-packages/torch/lib/libtorch.so]=]
    [=[/venv/site-packages/torch/lib/libtorch_cpu.so]=]
    [=[/venv/site-packages/torch/lib/libc10.so]=]
  SYSTEM_INCLUDES
    [=[/venv/site-packages/torch/include]=]
    [=[/venv/site-packages/torch/include/torch/csrc/api/include]=]
    [=[/python/include]=]
  INCLUDES
    [=[/tree/csrc]=]
    [=[/cache/override]=]
  DEFINES
    [=[TORCH_EXTENSION_NAME=_C_AVX2]=]
  OPTIONS
    [=[-fopenmp]=]
    [=[-mavx2]=]
    [=[-ffile-prefix-map=/cache/override=override]=]
    [=[-ffile-prefix-map=/venv/site-packages=site-packages]=]
  TREE_OPTIONS
    [=[-ffile-prefix-map=/tree=.]=]
    [=[-ffile-prefix-map=/cache/dir/v_x=build]=]
  PRECOMPILE
    [=[/cache/override/precompiled.h]=]
)
