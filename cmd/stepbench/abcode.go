package main

import (
	"context"
	"maps"

	"stepbench/bench/abtest"
	"stepbench/build"
	"stepbench/engine"
)

// codeReader compares the device code of the kernels that the variants bring
// with that of the other arm. Where it cannot be read the kernels are unknown,
// which is never taken for unchanged.
func (ab *comparison) codeReader(p *progress) func(context.Context, [2]engine.Info) (map[string]abtest.Code, error) {
	return func(ctx context.Context, info [2]engine.Info) (map[string]abtest.Code, error) {
		var sides [2]build.Kernels
		brought := map[string]bool{}
		for i, side := range []abtest.Side{ab.job.A, ab.job.B} {
			sides[i] = build.Kernels{}
			sides[i].Add(ab.builds[side.Name].Kernels)
			for _, kernels := range sides[i] {
				for name := range kernels {
					brought[name] = true
				}
			}
		}
		if len(brought) == 0 {
			return nil, nil
		}
		for i := range sides {
			// What a variant does not bring, its arm runs as it was installed.
			own := maps.Clone(sides[i])
			sides[i] = build.Kernels{}
			for _, m := range info[i].Modules {
				kernels, err := build.KernelHashes(ctx, m.Path)
				if err != nil {
					if cause := context.Cause(ctx); cause != nil {
						return nil, cause
					}
					p.stage("the installed kernels' code is unknown: %v", err)
					break
				}
				sides[i].Add(kernels)
			}
			sides[i].Add(own)
		}
		return compareCode(sides, brought), nil
	}
}

// compareCode says of each name whether its code is the same on both sides, for
// every architecture that both have.
func compareCode(sides [2]build.Kernels, names map[string]bool) map[string]abtest.Code {
	out := map[string]abtest.Code{}
	for name := range names {
		code := abtest.CodeUnknown
		for arch, kernels := range sides[abtest.ArmA] {
			a, b := kernels[name], sides[abtest.ArmB][arch][name]
			switch {
			case a == "" || b == "":
			case a != b:
				code = abtest.CodeChanged
			case code == abtest.CodeUnknown:
				code = abtest.CodeSame
			}
		}
		out[name] = code
	}
	return out
}
