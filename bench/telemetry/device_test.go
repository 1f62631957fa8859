package telemetry

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestDevice(t *testing.T) {
	g := newFakeGPU()
	d := NewDevice("GPU-1", g)
	start := nowNs()
	sample, read := d.read(parts{}), d.Read()
	end := nowNs()
	stamps := cmpopts.IgnoreFields(DeviceReading{}, "BeforeNs", "AfterNs")
	want := DeviceReading{UUID: "GPU-1", Gauges: g.gauges()}
	if diff := cmp.Diff(want, sample, stamps); diff != "" {
		t.Errorf("sample (-want +got):\n%s", diff)
	}
	want.Counters, want.Processes = g.counters(), g.users()
	if diff := cmp.Diff(want, read, stamps); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
	if got := []int64{start, sample.BeforeNs, sample.AfterNs, read.BeforeNs, read.AfterNs, end}; !slices.IsSorted(got) {
		t.Errorf("stamps out of order: %v", got)
	}
	d.Close()
	d.Close()
	<-g.closed
	if r := d.Read(); r.Unanswered != "the device was closed" || r.Gauges.SMClockMHz.Known {
		t.Errorf("after Close: %+v", r)
	}
}

// TestDevice_Blocks: a driver that hangs costs its first caller the timeout, the
// others nothing, and is used again once it comes back.
func TestDevice_Blocks(t *testing.T) {
	g := newFakeGPU()
	release, inside := make(chan struct{}), make(chan struct{}, 1)
	g.counters = func() Counters {
		inside <- struct{}{}
		<-release
		return Counters{}
	}
	d := NewDevice("GPU-1", g)
	d.timeout = 50 * time.Millisecond
	if r := d.Read(); r.Unanswered != "NVML gave no answer within 50ms" || r.Gauges.SMClockMHz.Known || r.AfterNs < r.BeforeNs+int64(d.timeout) {
		t.Errorf("blocked: %+v", r)
	}
	<-inside
	d.timeout = 0 // without this the next reads would have to wait to fail
	if r := d.read(parts{}); !strings.HasPrefix(r.Unanswered, "NVML has not come back for ") {
		t.Errorf("still blocked: %+v", r)
	}
	d.timeout = time.Minute
	close(release)
	if r := d.read(parts{}); r.Unanswered != "" || r.Gauges.SMClockMHz != Of(1980.0) {
		t.Errorf("back again: %+v", r)
	}
	d.Close()
	<-g.closed
}

func TestDevice_CloseWhileBlocked(t *testing.T) {
	g := newFakeGPU()
	release := make(chan struct{})
	g.gauges = func() Gauges { <-release; return Gauges{} }
	d := NewDevice("GPU-1", g)
	d.timeout = 20 * time.Millisecond
	d.read(parts{})
	d.Close() // returns although the goroutine hangs
	select {
	case <-g.closed:
		t.Error("NVML was shut down under a call")
	default:
	}
	close(release)
	<-g.closed
}

func TestDevice_Disappears(t *testing.T) {
	g := newFakeGPU()
	lost := false // only the device's goroutine reads it, between two Reads
	g.gauges = func() Gauges {
		if lost {
			return Gauges{Problem: "SM clock: ERROR_GPU_IS_LOST"}
		}
		return Gauges{SMClockMHz: Of(1980.0)}
	}
	d := NewDevice("GPU-1", g)
	defer d.Close()
	before := d.Read()
	lost = true
	g.counters = func() Counters { return Counters{Problem: "energy: ERROR_GPU_IS_LOST"} }
	g.users = func() Processes { return Processes{Problem: "processes: ERROR_GPU_IS_LOST"} }
	c := d.Read().since(before, nil)
	if c.PowerCapNs.Known || c.PIDs != nil || c.Problem != "SM clock: ERROR_GPU_IS_LOST" {
		t.Errorf("got %+v", c)
	}
	if gate := ThermalGate(Change{Devices: []DeviceChange{c}}); gate.Status != Unknown || !strings.Contains(gate.Detail, "LOST") {
		t.Errorf("gate %+v", gate)
	}
}

func TestDevice_Concurrent(t *testing.T) {
	d := NewDevice("GPU-1", newFakeGPU())
	defer d.Close()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 100 {
				if r := d.Read(); r.Unanswered != "" {
					t.Error(r.Unanswered)
				}
			}
		})
	}
	all.Wait()
	if d.CPUNs() <= 0 {
		t.Errorf("400 reads took %d ns of CPU time", d.CPUNs())
	}
}

func TestOpenDevice_Errors(t *testing.T) {
	if _, err := OpenDevice(t.Context(), ""); !errors.Is(err, ErrNoDevice) {
		t.Errorf("no UUID: %v", err)
	}
	// Where there is no driver, and where there is one, which has no such device.
	if _, err := OpenDevice(t.Context(), "GPU-00000000-0000-0000-0000-000000000000"); !errors.Is(err, ErrNoDevice) {
		t.Errorf("unknown UUID: %v", err)
	}
	broken := errors.New("broken")
	if _, err := openDevice(t.Context(), "GPU-1", func() (GPU, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Errorf("broken driver: %v", err)
	}

	// A driver that hangs while it opens, and then opens after all.
	g := newFakeGPU()
	release := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := openDevice(ctx, "GPU-1", func() (GPU, error) { <-release; return g, nil })
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "NVML gives no answer") {
		t.Errorf("hanging driver: %v", err)
	}
	close(release)
	<-g.closed
}
