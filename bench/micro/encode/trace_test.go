package encode

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stepbench/bench/micro"
	"stepbench/bench/trace"
)

func TestTrace(t *testing.T) {
	res := sample(t)
	tr := Trace(res)
	steps, kernels, cells, profiled := 0, 0, map[string]bool{}, 0
	for _, s := range res.Traced {
		steps += len(s.Steps)
		kernels += len(s.Events)
	}
	got := 0
	for _, e := range tr.Events {
		if e.EndNs <= e.StartNs {
			t.Errorf("%s lasts %d ns", e.Name, e.EndNs-e.StartNs)
		}
		switch {
		case e.Process == "kernels" && e.Track == "GPU 0 stream 7":
			got++
		case e.Track == "cell":
			if cells[e.Name] {
				t.Errorf("cell %s is visited twice", e.Name)
			}
			cells[e.Name] = true
		case e.Name == "measure, profiled":
			profiled++
		}
	}
	if len(tr.Steps) != steps || steps == 0 || got != kernels || kernels == 0 {
		t.Errorf("%d steps of %d, %d kernels of %d", len(tr.Steps), steps, got, kernels)
	}
	if len(cells) != len(res.Cells) || profiled < len(res.Cells) {
		t.Errorf("%d cells of %d, %d of their steps profiled", len(cells), len(res.Cells), profiled)
	}
	var b bytes.Buffer
	if err := trace.Write(&b, tr); err != nil {
		t.Fatal(err)
	}
	if !json.Valid(b.Bytes()) {
		t.Errorf("the trace is not JSON")
	}
}

// A source that is not there has no series.
func TestTelemetry(t *testing.T) {
	tests := []struct {
		name string
		at   []micro.Conditions
		want []trace.Counter
	}{
		{"a GPU", []micro.Conditions{
			{AtNs: 1e9, SMClockMHz: 1980, TemperatureC: 40, PowerW: 300, ProcessCPUNs: 5e9, HostCPUNs: 9e9, HostCPUs: 16},
			{AtNs: 2e9, SMClockMHz: 1965, TemperatureC: 41, PowerW: 310.5, ProcessCPUNs: 65e8, HostCPUNs: 13e9, HostCPUs: 16},
		}, []trace.Counter{
			{Name: "SM clock (MHz)", AtNs: 1e9, Value: 1980}, {Name: "temperature (°C)", AtNs: 1e9, Value: 40}, {Name: "power (W)", AtNs: 1e9, Value: 300},
			{Name: "SM clock (MHz)", AtNs: 2e9, Value: 1965}, {Name: "temperature (°C)", AtNs: 2e9, Value: 41}, {Name: "power (W)", AtNs: 2e9, Value: 310.5},
			{Name: "worker CPU (% of one core)", AtNs: 1e9, Value: 150}, {Name: "host CPU (% of all cores)", AtNs: 1e9, Value: 25},
		}},
		{"a CPU", []micro.Conditions{
			{AtNs: 1e9, ProcessCPUNs: 5e9}, {AtNs: 2e9, ProcessCPUNs: 7e9},
		}, []trace.Counter{{Name: "worker CPU (% of one core)", AtNs: 1e9, Value: 200}}},
		{"nothing", []micro.Conditions{{}, {}}, nil},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, telemetry(tt.at)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", tt.name, diff)
		}
	}
}
