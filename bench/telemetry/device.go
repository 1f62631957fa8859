package telemetry

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

const (
	// openTimeout is long: without persistence mode the first call wakes every GPU.
	openTimeout = 15 * time.Second
	// readTimeout is far above the few milliseconds of a healthy read. A read
	// that takes longer is a result in itself.
	readTimeout = time.Second
)

// Device reads one GPU on a goroutine of its own, so that a call which hangs in
// the driver costs its caller a timeout at most, and once.
type Device struct {
	uuid      string
	timeout   time.Duration
	requests  chan request
	stop      chan struct{} // closed by Close
	ended     chan struct{} // closed when the goroutine is gone
	closing   sync.Once
	busySince atomic.Int64 // stamp at which the call under way began, 0 if there is none
	cpuNs     atomic.Int64 // used by the goroutine's thread
}

// parts of a reading beside the gauges.
type parts struct{ processes, counters, gpm bool }

type request struct {
	parts
	reply chan DeviceReading // with room for one: the asker may have left
}

// DeviceReading is what a device said between two stamps.
type DeviceReading struct {
	UUID     string `json:"uuid"`
	BeforeNs int64  `json:"before_ns"`
	AfterNs  int64  `json:"after_ns"`
	Gauges   Gauges `json:"gauges"`

	// All unknown where they were not asked for.
	Processes Processes `json:"processes"`
	Counters  Counters  `json:"counters"`
	GPM       GPM       `json:"gpm"`

	// Unanswered says why nothing of the above is known; empty if it is.
	Unanswered string `json:"unanswered,omitempty"`
}

// OpenDevice opens the device with this UUID ("GPU-…", engine.Info.DeviceUUID).
// Errors: ErrNoDevice where there is no driver or no such device.
func OpenDevice(ctx context.Context, uuid string) (*Device, error) {
	if uuid == "" {
		return nil, fmt.Errorf("%w: the engine runs on none", ErrNoDevice)
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	return openDevice(ctx, uuid, func() (GPU, error) { return openNVML(nvml.New(), uuid) })
}

// NewDevice reads a GPU that is no driver's, in tests and replays.
func NewDevice(uuid string, gpu GPU) *Device {
	d, _ := openDevice(context.Background(), uuid, func() (GPU, error) { return gpu, nil })
	return d
}

func openDevice(ctx context.Context, uuid string, open func() (GPU, error)) (*Device, error) {
	d := &Device{uuid: uuid, timeout: readTimeout, requests: make(chan request), stop: make(chan struct{}), ended: make(chan struct{})}
	opened := make(chan error, 1)
	go func() {
		defer close(d.ended)
		runtime.LockOSThread() // for threadCPUNs; the thread ends with the goroutine
		idle := threadCPUNs()
		gpu, err := open()
		opened <- err
		if err == nil {
			defer gpu.Close()
			d.serve(gpu, idle)
		}
	}()
	select {
	case err := <-opened:
		if err != nil {
			return nil, err
		}
		return d, nil
	case <-ctx.Done():
		close(d.stop) // for the case that it opens after all
		return nil, fmt.Errorf("open device %s: NVML gives no answer: %w: run nvidia-smi to see whether the driver hangs", uuid, ctx.Err())
	}
}

// serve answers until Close. idle is what its thread had used before.
func (d *Device) serve(gpu GPU, idle int64) {
	for {
		select {
		case <-d.stop:
			return
		case req := <-d.requests:
			r := DeviceReading{UUID: d.uuid, BeforeNs: nowNs()}
			d.busySince.Store(r.BeforeNs)
			r.Gauges = gpu.Gauges()
			if req.processes {
				r.Processes = gpu.Processes()
			}
			if req.counters {
				r.Counters = gpu.Counters()
			}
			if req.gpm {
				r.GPM = gpu.GPM()
			}
			r.AfterNs = nowNs()
			d.busySince.Store(0)
			d.cpuNs.Store(threadCPUNs() - idle)
			req.reply <- r
		}
	}
}

var errClosed = errors.New("the device was closed")

// Read reads all but the performance counters.
func (d *Device) Read() DeviceReading { return d.read(parts{processes: true, counters: true}) }

// read returns within the timeout, and at once while a call that outlived an
// earlier timeout is still under way.
func (d *Device) read(p parts) DeviceReading {
	asked := nowNs()
	unanswered := func(why error) DeviceReading {
		return DeviceReading{UUID: d.uuid, BeforeNs: asked, AfterNs: nowNs(), Unanswered: why.Error()}
	}
	if since := d.busySince.Load(); since != 0 && time.Duration(asked-since) > d.timeout {
		return unanswered(fmt.Errorf("NVML has not come back for %.1f s", float64(asked-since)/1e9))
	}
	select {
	case <-d.stop:
		return unanswered(errClosed)
	default:
	}
	timer := time.NewTimer(d.timeout)
	defer timer.Stop()
	req := request{p, make(chan DeviceReading, 1)}
	select {
	case d.requests <- req:
	case <-d.stop:
		return unanswered(errClosed)
	case <-timer.C:
		return unanswered(fmt.Errorf("NVML gave no answer within %v", d.timeout))
	}
	select {
	case r := <-req.reply:
		return r
	case <-timer.C:
		return unanswered(fmt.Errorf("NVML gave no answer within %v", d.timeout))
	}
}

// CPUNs is the CPU time spent on reading this device so far.
func (d *Device) CPUNs() int64 { return d.cpuNs.Load() }

// Close ends the goroutine. One that hangs in the driver is left behind.
func (d *Device) Close() {
	d.closing.Do(func() { close(d.stop) })
	select {
	case <-d.ended:
	case <-time.After(d.timeout):
	}
}
