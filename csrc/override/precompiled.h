// What nearly every CPU unit of vLLM's csrc spends its compile time on.
#include <torch/all.h>
#include <torch/library.h>
