// Package csrc carries the Python adapter and the build files of kernel
// variants inside the Go binary, so that an installed stepbench needs no
// checkout. The C sources are in src, because a Go file cannot stand beside .c
// files without cgo.
package csrc

import "embed"

// Adapter holds the package stepbench_adapter below "adapter".
//
//go:embed all:adapter/stepbench_adapter/*.py
var Adapter embed.FS

// Override holds the CMake project that compiles a variant of vLLM's kernels,
// below "override".
//
//go:embed override
var Override embed.FS
