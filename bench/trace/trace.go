// Package trace writes what an engine did as a Chrome trace, which Perfetto
// (https://ui.perfetto.dev) and chrome://tracing open: steps with their parts,
// below them kernels, requests, and counters. The format is the JSON of "Trace
// Event Format" (Google, 2016).
package trace

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"

	"stepbench/engine"
)

// Trace is what to write. All stamps are CLOCK_MONOTONIC ns.
type Trace struct {
	Steps    []engine.Step
	Requests []engine.RequestResult
	Events   []Event
	Counters []Counter
	// Metadata is shown beside the trace: model, device, versions.
	Metadata map[string]string
}

// Event is a slice on a track of its own, such as a kernel on its stream. Slices
// of a track that neither follow nor contain each other, as kernels of one stream
// may overlap, get further tracks of its name.
type Event struct {
	Process, Track string // where it is shown
	Name           string
	StartNs, EndNs int64
}

// Counter is one value of a telemetry series.
type Counter struct {
	Name  string // with its unit, such as "power (W)"
	AtNs  int64
	Value float64
}

// Processes of the trace, in the order in which they are shown.
const (
	pidEngine    = 1
	pidEvents    = 2 // the first of those that Events name
	pidRequests  = 1000
	pidTelemetry = 1001
)

// Write writes t. Times are in µs from the first step, or from what came before
// it.
func Write(w io.Writer, t Trace) error {
	out := &writer{Writer: bufio.NewWriter(w), origin: t.origin()}
	out.text(`{"displayTimeUnit":"ms","otherData":`)
	out.json(other{Metadata: t.Metadata, OriginNs: out.origin})
	out.text(`,"traceEvents":[`)
	out.steps(t.Steps)
	out.events(t.Events)
	out.requests(t.Requests)
	out.telemetry(t.Counters)
	out.text("\n]}\n")
	if out.err != nil {
		return fmt.Errorf("write trace: %w", out.err)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write trace: %w", err)
	}
	return nil
}

type other struct {
	Metadata map[string]string `json:"metadata,omitempty"`
	OriginNs int64             `json:"origin_monotonic_ns"`
}

// origin is the earliest stamp, since viewers drop slices before 0.
func (t *Trace) origin() int64 {
	first := int64(math.MaxInt64)
	see := func(ns int64) {
		if ns > 0 {
			first = min(first, ns)
		}
	}
	for i := range t.Steps {
		see(t.Steps[i].EnterNs)
	}
	for i := range t.Requests {
		see(begin(&t.Requests[i]))
	}
	for _, e := range t.Events {
		see(e.StartNs)
	}
	for _, c := range t.Counters {
		see(c.AtNs)
	}
	if first == math.MaxInt64 {
		return 0
	}
	return first
}

// writer writes events, one a line.
type writer struct {
	*bufio.Writer
	origin int64
	began  bool
	err    error
}

// record is one trace event.
type record struct {
	Name     string `json:"name"`
	Phase    string `json:"ph"` // X slice, C counter, M metadata
	Ts       *stamp `json:"ts,omitempty"`
	Duration *stamp `json:"dur,omitempty"`
	Pid      int    `json:"pid"`
	Tid      int64  `json:"tid"`
	Args     any    `json:"args,omitempty"`
}

// stamp is ns, written as µs without loss.
type stamp int64

// MarshalJSON implements json.Marshaler.
func (s stamp) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(s)/1e3, 'f', 3, 64), nil
}

func (w *writer) text(s string) {
	if w.err == nil {
		_, w.err = w.WriteString(s)
	}
}

func (w *writer) json(v any) {
	if w.err != nil {
		return
	}
	var data []byte
	if data, w.err = json.Marshal(v); w.err == nil {
		_, w.err = w.Write(data)
	}
}

func (w *writer) add(r record) {
	if w.began {
		w.text(",")
	}
	w.began = true
	w.text("\n")
	w.json(r)
}

// slice adds [from, to) to a track; an empty one is left out.
func (w *writer) slice(pid int, tid int64, name string, from, to int64, args any) {
	if to <= from {
		return
	}
	ts, dur := stamp(from-w.origin), stamp(to-from)
	w.add(record{Name: name, Phase: "X", Ts: &ts, Duration: &dur, Pid: pid, Tid: tid, Args: args})
}

func (w *writer) counter(pid int, name string, at int64, value float64) {
	ts := stamp(at - w.origin)
	w.add(record{Name: name, Phase: "C", Ts: &ts, Pid: pid, Args: map[string]float64{"value": value}})
}

func (w *writer) nameProcess(pid int, name string) {
	w.add(record{Name: "process_name", Phase: "M", Pid: pid, Args: map[string]string{"name": name}})
	w.add(record{Name: "process_sort_index", Phase: "M", Pid: pid, Args: map[string]int{"sort_index": pid}})
}

func (w *writer) nameThread(pid int, tid int64, name string) {
	w.add(record{Name: "thread_name", Phase: "M", Pid: pid, Tid: tid, Args: map[string]string{"name": name}})
	w.add(record{Name: "thread_sort_index", Phase: "M", Pid: pid, Tid: tid, Args: map[string]int64{"sort_index": tid}})
}
