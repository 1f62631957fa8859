package figure

import (
	"bytes"
	"fmt"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"testing"

	"stepbench/bench/stats"
	"stepbench/internal/golden"
)

func around(v, half float64) *Value {
	return &Value{V: v, CI: &stats.Interval{Lo: v - half, Hi: v + half}}
}

var sampleNotes = []string{
	"gpt2 (random weights) on NVIDIA H200, bfloat16, vLLM 0.26.0",
	"n = 24 requests, R = 3 repeats, window 20 s",
}

// sampleNames look like those of a suite, some of them long.
var sampleNames = []string{
	"gpt2", "random-medium", "c4 (stand-in)", "2 req/s", "5 req/s", "20 req/s", "constant", "burst",
	"gpt2:2", "llama-2-7b", "llama-2-7b tp=2", "closed loop, 8 at a time",
}

// samples are all seven figures of n configurations.
func samples(n int) []*Figure {
	var phases []PhaseBar
	var rates []ThroughputBar
	var hists []LatencySample
	var points []LoadPoint
	var uses []UseBar
	var shares []BreakdownBar
	var scaling []ScalingBar
	for i := range n {
		k := float64(i + 1)
		name, saturated := sampleNames[i], i%6 == 5
		phases = append(phases, PhaseBar{Name: name, Queue: around(0.04*k, 0.02*k), Prefill: around(0.1*k, 0.01*k), Decode: around(1+0.2*k, 0.1), Saturated: saturated})
		rates = append(rates, ThroughputBar{Name: name, RequestsPerS: around(1.9*k, 0.2), TokensPerS: around(31*k, 3), OfferedPerS: 2 * k, Saturated: saturated})
		h := LatencySample{Name: name, Saturated: saturated}
		for j := range 40 * (i + 1) {
			h.Seconds = append(h.Seconds, 1+0.3*k*math.Pow(math.Abs(math.Sin(float64(j*j+i))), 3))
		}
		p50, p90 := 1+0.05*k, 1+0.2*k
		h.P50, h.P90 = &p50, &p90
		hists = append(hists, h)
		points = append(points, LoadPoint{
			Pattern: []string{"poisson", "constant", "burst"}[i%3], OfferedPerS: []float64{2, 5, 20, 40}[i/3],
			AchievedPerS: *around([]float64{1.95, 2.7, 2.8, 2.82}[i/3]+0.02*float64(i%3), 0.05), P50: around(1.5+0.5*float64(i/3*i/3), 0.1), Saturated: i >= 6,
		})
		uses = append(uses, UseBar{Name: name, Parts: &UseParts{0.06 * k, 0.1, 0.02, 0.88 - 0.06*k}, Counter: around(0.07*k, 0.02), Saturated: saturated})
		scaling = append(scaling, ScalingBar{Name: fmt.Sprintf("%d: %s", i+1, name), SpeedUp: around(math.Pow(k, 0.7), 0.1), Ideal: k, Efficiency: around(math.Pow(k, -0.3), 0.04)})
		shares = append(shares, BreakdownBar{Name: name, Queue: around(0.03*k, 0.01), Prefill: around(0.2, 0.02), Decode: around(0.8-0.03*k, 0.02), Host: around(0.02*k, 0.01), Saturated: saturated})
	}
	if n > 3 { // gaps
		phases[2].Queue, phases[2].QueueMark = nil, "offline"
		phases[3] = PhaseBar{Name: sampleNames[3]}
		rates[4].RequestsPerS, rates[4].TokensPerS = nil, nil
		rates[7].OfferedPerS, rates[7].RequestsPerS.CI = 0, nil
		hists[1] = LatencySample{Name: sampleNames[1]}
		uses[3].Parts, uses[4] = nil, UseBar{Name: sampleNames[4]}
		shares[3], shares[6].Host = BreakdownBar{Name: sampleNames[3]}, nil
		for i := range points {
			if i != 4 {
				points[i].P99 = around(2*points[i].P50.V, 0.4)
			}
		}
	}
	hists = hists[:min(len(hists), 5)]
	words := GPUWords
	if n == 1 {
		words = CPUWords
	}
	return []*Figure{
		Phases("Mean time per request by phase", phases, sampleNotes),
		Throughputs("Throughput", rates, sampleNotes),
		Latencies("End-to-end time", hists, sampleNotes),
		Loads("Latency against throughput", points, 2.5, sampleNotes),
		Use(words.Title, words, uses, sampleNotes),
		Breakdown("Where the requests' time went", shares, sampleNotes),
		Scaling("Speed-up and efficiency", scaling, sampleNotes),
	}
}

func TestFiguresGolden(t *testing.T) {
	for _, n := range []int{0, 1, 12} {
		for _, f := range samples(n) {
			t.Run(fmt.Sprintf("%s_%d", f.Stem, n), func(t *testing.T) {
				var svg, picture bytes.Buffer
				if err := f.SVG(&svg); err != nil {
					t.Fatal(err)
				}
				golden.Check(t, filepath.Join("testdata", fmt.Sprintf("%s_%d.svg", f.Stem, n)), svg.Bytes())
				dir := os.Getenv("STEPBENCH_FIGURES")
				if dir == "" && n == 0 {
					return // drawing dots is slow, and nothing else would be found
				}
				if err := f.PNG(&picture); err != nil {
					t.Fatal(err)
				}
				if dir != "" {
					if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s_%d.png", f.Stem, n)), picture.Bytes(), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := png.Decode(&picture); err != nil {
					t.Errorf("the PNG does not decode: %v", err)
				}
			})
		}
	}
}

// Names too long for their slots are slanted, and cut rather than run out of
// the picture.
func TestLongNames(t *testing.T) {
	var bars []ThroughputBar
	for range 12 {
		bars = append(bars, ThroughputBar{Name: "meta-llama/Llama-2-13b-chat-hf tensor-parallel-size=4 random-medium", RequestsPerS: around(2, 0.1), TokensPerS: around(30, 1)})
	}
	s := slots{names: make([]string, 12)}
	for i := range s.names {
		s.names[i] = bars[i].Name
	}
	if l := s.labelling(slotsWidth(12, 68)); !l.slanted || len(l.lines[0]) != 1 {
		t.Errorf("long names are not slanted: %+v", l)
	}
	var svg bytes.Buffer
	if err := Throughputs("Throughput", bars, nil).SVG(&svg); err != nil {
		t.Fatal(err)
	}
	golden.Check(t, filepath.Join("testdata", "long_names.svg"), svg.Bytes())
	if dir := os.Getenv("STEPBENCH_FIGURES"); dir != "" {
		if err := writePNG(filepath.Join(dir, "long_names.png"), Throughputs("Throughput", bars, nil)); err != nil {
			t.Fatal(err)
		}
	}
}

func writePNG(path string, f *Figure) error {
	var b bytes.Buffer
	if err := f.PNG(&b); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}
