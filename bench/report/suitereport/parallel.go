package suitereport

import (
	"fmt"

	"stepbench/bench/analysis"
	"stepbench/bench/bottleneck"
	"stepbench/bench/figure"
	"stepbench/bench/report"
)

// scalingFigure is nil where there is nothing to compare.
func (v view) scalingFigure(notes []string) *figure.Figure {
	if len(v.Scaling) == 0 {
		return nil
	}
	var bars []figure.ScalingBar
	base := 0
	for i, s := range v.Scaling {
		if i == 0 || s.Label != v.Scaling[i-1].Label {
			base = s.Devices
		}
		bars = append(bars, figure.ScalingBar{
			Name:    fmt.Sprintf("%d: %s", s.Devices, s.Label),
			SpeedUp: bar(&s.SpeedUp, 1), Ideal: float64(s.Devices) / float64(base), Efficiency: bar(&s.Efficiency, 1),
		})
	}
	if v.onCPU() {
		notes = append(notes[:len(notes):len(notes)], "devices are ranks that share one CPU: the figure shows the cost of spreading, not of hardware that was added")
	}
	return figure.Scaling("Speed-up and efficiency by number of devices", bars, notes)
}

func (v view) parallelism() []block {
	t := newTable(columnsOf([]column{textColumn("configuration"), textColumn("load")}, "tensor parallel", "pipeline parallel", "devices", "achieved req/s", "output tok/s", "TPOT ms", "E2E p50")...)
	varied := false
	for _, p := range v.axes("parallelism") {
		varied = varied || p.Devices > 1
		t.add(say(name(p)), say(load(p)), count(p.TP), count(p.PP), count(p.Devices), rate(p.Achieved, p), rate(p.OutputTokens, p), mean(p, "tpot"), percentile(p, "e2e", "p50"))
	}
	blocks := []block{t.block()}
	if !varied {
		return append(blocks, text("Not run: every engine was on a single device."))
	}
	if v.onCPU() {
		blocks = append(blocks, text("Devices are processes that share this machine's CPU. That the model can be spread is shown; how it would scale over hardware is not."))
	}
	for _, e := range v.Engines {
		if e.Info.QueuedBatches > 0 && !e.Info.AsyncScheduling {
			blocks = append(blocks, text("With pipeline parallelism the engine keeps several batches in flight: a call of LLMEngine.step is no step. There are no figures of steps for such engines, and no profiled bursts; what is shown is of requests."))
			break
		}
	}
	blocks = append(blocks, v.communication()...)
	return append(blocks, v.rankUse()...)
}

// communication is how much of a step ranks exchange data.
func (v view) communication() []block {
	t := newTable(columnsOf([]column{textColumn("engine")}, "prompt tokens of a step", "decoding requests", "steps profiled", "communication % of a step", "imbalance of work")...)
	for _, e := range v.Engines {
		for _, b := range e.Profiled {
			if len(b.Ranks) > 1 {
				t.add(say(e.Name), count(b.CtxTokens), count(b.GenReqs), count(b.Steps), num(100*b.CollectiveFrac), num(imbalance(b)))
			}
		}
	}
	if len(t.Rows) == 0 {
		return []block{text("Communication was not measured: no engine with several ranks was profiled.")}
	}
	return []block{heading("Communication"),
		text("From profiled bursts of every rank: the time in collective kernels, or on a CPU in the ops that exchange data, waiting for the slowest rank included, as a share of the step's wall time; the largest over ranks. Imbalance is the largest time in other kernels or ops over their mean over ranks."),
		t.block()}
}

func imbalance(b bottleneck.Bucket) float64 {
	var own []float64
	for _, r := range b.Ranks {
		own = append(own, r.OwnNs)
	}
	return report.Imbalance(own)
}

// rankUse is what each rank used.
func (v view) rankUse() []block {
	t := newTable(columnsOf([]column{textColumn("configuration")}, "rank", "tensor", "stage", "CPU, cores", "memory GiB", "device memory GiB", "imbalance of CPU")...)
	for _, p := range v.all() {
		var cores []float64
		for _, r := range p.Ranks {
			cores = append(cores, r.Cores)
		}
		for i, r := range p.Ranks {
			place := rankOf(v.Engines[p.Engine], r.Rank)
			device := missing("ranks of a CPU have none of their own")
			if r.DeviceUsedBytes > 0 {
				device = num(float64(r.DeviceUsedBytes) / (1 << 30))
			}
			spread := say("")
			if i == 0 {
				spread = num(report.Imbalance(cores))
			}
			t.add(say(name(p)), count(r.Rank), count(place[0]), count(place[1]), num(r.Cores), num(float64(r.RSSBytes)/(1<<30)), device, spread)
		}
	}
	if len(t.Rows) == 0 {
		return nil
	}
	return []block{heading("Ranks"), text("Ranks spin while they wait for each other, which counts as CPU time."), t.block()}
}

// rankOf gives a rank's place in its stage and its stage.
func rankOf(e analysis.Engine, rank int) [2]int {
	for _, r := range e.Info.Ranks {
		if r.Rank == rank {
			return [2]int{r.TP, r.PP}
		}
	}
	return [2]int{}
}
