package report

import (
	"fmt"
	"strings"

	"stepbench/bench/record"
	"stepbench/bench/workload"
	"stepbench/engine"
)

// calls stands in for the steps of an engine with several batches in flight:
// what is in a call's time belongs to no step.
func calls(b *strings.Builder, rec *record.Record, sum *workload.Summary) {
	b.WriteString("## Engine calls\n\n")
	var prompts, outputs int64
	for i := range rec.Steps {
		prompts += int64(rec.Steps[i].CtxTokens)
		outputs += int64(rec.Steps[i].GenTokens)
	}
	fmt.Fprintf(b, "%s of `LLMEngine.step` computed %d prompt and %d decode tokens; %s %% of the time was spent inside them.\n\n",
		plural(len(rec.Steps), "call"), prompts, outputs, number(100*sum.InStepFrac))
	fmt.Fprintf(b, "There are no figures of steps: the engine keeps %d batches in flight, so a call returns an earlier batch or nothing, and its time is not that of a forward pass. "+
		"Latencies and throughput above are of requests and hold.\n\n", rec.Manifest.Info.QueuedBatches)
}

// ranks says what each rank is and used.
func ranks(b *strings.Builder, m *record.Manifest) {
	if m.Info == nil || len(m.Info.Ranks) == 0 {
		return
	}
	b.WriteString("## Ranks\n\n")
	use := map[int]engine.RankUse{}
	for _, u := range m.Ranks {
		use[u.Rank] = u
	}
	cuda := m.Info.Platform == "cuda"
	header := []string{"rank", "tensor", "stage", "process", "CPUs", "CPU time, s", "memory, GiB"}
	if cuda {
		header = append(header, "device", "device memory, GiB")
	}
	var rows [][]string
	var times []float64
	for _, r := range m.Info.Ranks {
		row := []string{fmt.Sprint(r.Rank), fmt.Sprint(r.TP), fmt.Sprint(r.PP), fmt.Sprint(r.PID), spans(r.CPUs)}
		u, known := use[r.Rank]
		if known {
			times = append(times, float64(u.CPUNs))
			row = append(row, number(float64(u.CPUNs)/1e9), number(float64(u.RSSBytes)/(1<<30)))
		} else {
			row = append(row, absent, absent)
		}
		if cuda {
			row = append(row, plain(r.DeviceUUID), number(float64(u.DeviceUsedBytes)/(1<<30)))
		}
		rows = append(rows, row)
	}
	table(b, false, header, rows)
	b.WriteString("Rank logs carry the rank's name in brackets.")
	if x := Imbalance(times); x > 0 {
		fmt.Fprintf(b, " Imbalance, the largest CPU time over the mean: %s. Ranks spin while they wait for each other, which counts as CPU time.", number(x))
	}
	b.WriteString("\n\n")
}

// Imbalance is the largest of x over their mean, 0 without any.
func Imbalance(x []float64) float64 {
	var sum, most float64
	for _, v := range x {
		sum, most = sum+v, max(most, v)
	}
	if sum == 0 {
		return 0
	}
	return most * float64(len(x)) / sum
}

// spans writes rising numbers with neighbours as 0-3.
func spans(n []int) string {
	var parts []string
	for i := 0; i < len(n); {
		k := i
		for k+1 < len(n) && n[k+1] == n[k]+1 {
			k++
		}
		if k > i {
			parts = append(parts, fmt.Sprintf("%d-%d", n[i], n[k]))
		} else {
			parts = append(parts, fmt.Sprint(n[i]))
		}
		i = k + 1
	}
	return strings.Join(parts, ",")
}
