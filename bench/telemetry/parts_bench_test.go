package telemetry

import (
	"os"
	"runtime"
	"testing"
	"time"
)

// BenchmarkParts is what each part of a sample costs in CPU time of its thread when
// it is read ten times a second, as a sampler does, and caches are cold by then.
// "nothing" is the sleeping itself.
func BenchmarkParts(b *testing.B) {
	h := NewHost()
	m := NewMachine(h)
	pid := os.Getpid()
	s := series{machine: m, cpu: map[int]cpuReading{}}
	s.next(true)
	for _, part := range []struct {
		name string
		read func()
	}{
		{"nothing", func() {}},
		{"cpus", func() { h.CPUs() }},
		{"process CPU", func() { h.CPUNs(pid) }},
		{"process RSS", func() { h.rss(pid) }},
		{"frequencies", func() { h.FrequenciesMHz() }},
		{"tree", func() { h.tree(pid) }},
		{"threads", func() { h.threadCounts([]int{pid}) }},
		{"fast sample without device", func() { s.next(false) }},
	} {
		b.Run(part.name, func(b *testing.B) {
			benchmarkCold(b, part.read)
		})
	}
}

func benchmarkCold(b *testing.B, read func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := threadCPUNs()
	for b.Loop() {
		time.Sleep(100 * time.Millisecond)
		read()
	}
	b.ReportMetric(float64(threadCPUNs()-before)/float64(b.N)/1e3, "cpu-µs/op")
}
