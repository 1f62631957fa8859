package micro

import "context"

// Conditions are what is known about the device and the worker's process at one
// moment. A source that is not there leaves its fields 0.
type Conditions struct {
	AtNs         int64 // CLOCK_MONOTONIC of the worker
	SMClockMHz   float64
	TemperatureC float64
	PowerW       float64
	HostCPUs     int

	// Counted since some time before the run.
	ProcessCPUNs int64 // CPU time of the worker's process
	HostCPUNs    int64 // of all processes, on all CPUs together
	Collections  int64 // runs of Python's garbage collector during steps
	Throttles    int64 // periods in which the control group was held back
	MajorFaults  int64
	Compiles     int64 // reported by vLLM's JIT monitor
}

// since is c with its counts less those of an earlier moment.
func (c Conditions) since(before Conditions) Conditions {
	c.ProcessCPUNs -= before.ProcessCPUNs
	c.HostCPUNs -= before.HostCPUNs
	c.Collections -= before.Collections
	c.Throttles -= before.Throttles
	c.MajorFaults -= before.MajorFaults
	c.Compiles -= before.Compiles
	return c
}

// disturbance is the reason for which steps during the change c do not count,
// empty if there is none.
func (c Conditions) disturbance() string {
	switch {
	case c.Compiles > 0:
		return Compiling
	case c.Collections > 0:
		return Collection
	case c.Throttles > 0:
		return Throttling
	case c.MajorFaults > 0:
		return MajorFault
	}
	return ""
}

func (r *runner) conditions(ctx context.Context) (Conditions, error) {
	if r.opt.Conditions == nil {
		return Conditions{}, nil
	}
	return r.opt.Conditions(ctx)
}
