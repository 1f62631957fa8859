package analysis

import (
	"fmt"

	"stepbench/engine"
)

// differences say why two suites are not comparable: speed then differs for
// reasons other than what is compared. Versions of vLLM and its libraries,
// kernels and attention backends may differ; that is what a comparison is for.
func differences(a, b *Analysis) []string {
	var out []string
	add := func(what string, va, vb any) {
		if va != vb {
			out = append(out, fmt.Sprintf("%s: %v and %v", what, text(va), text(vb)))
		}
	}
	add("profile", a.Profile, b.Profile)
	common := 0
	for i := range a.Points {
		pa := &a.Points[i]
		for k := range b.Points {
			pb := &b.Points[k]
			if pa.ID != pb.ID || pa.Problem != "" || pb.Problem != "" {
				continue
			}
			common++
			add("workload of "+pa.ID, pa.load(), pb.load())
			if len(out) == 0 && len(pa.commonWorkloads(pb)) == 0 {
				out = append(out, fmt.Sprintf("workload of %s: no repeat of one has the requests and arrivals of a repeat of the other", pa.ID))
			}
			for _, d := range engineDifferences(a, b, pa.Engine, pb.Engine) {
				d = fmt.Sprintf("engine of %s: %s", pa.ID, d)
				out = append(out, d)
			}
		}
	}
	if common == 0 {
		out = append(out, "no point was measured in both")
	}
	return out
}

func text(v any) any {
	if v == "" {
		return "none"
	}
	return v
}

// load says in words what a point was given.
func (p *Point) load() string {
	s := fmt.Sprintf("%s %s %s", p.Model, p.Dataset, p.Pattern)
	if p.RatePerS > 0 {
		s += fmt.Sprintf(" %g/s", p.RatePerS)
	}
	if p.Concurrency > 0 {
		s += fmt.Sprintf(" %d at once", p.Concurrency)
	}
	if p.Stand {
		s += " (random tokens)"
	}
	return fmt.Sprintf("%s tp=%d pp=%d", s, p.TP, p.PP)
}

func (p *Point) commonWorkloads(q *Point) []string {
	var out []string
	for _, a := range p.Repeats {
		for _, b := range q.Repeats {
			if a.Workload != "" && a.Workload == b.Workload {
				out = append(out, a.Workload)
			}
		}
	}
	return out
}

func engineDifferences(a, b *Analysis, ea, eb int) []string {
	x, y := &a.Engines[ea], &b.Engines[eb]
	var out []string
	for _, f := range []struct {
		what string
		of   func(*engine.Config, *engine.Info) any
	}{
		{"device", func(_ *engine.Config, i *engine.Info) any { return i.Device }},
		{"platform", func(_ *engine.Config, i *engine.Info) any { return i.Platform }},
		{"model configuration", func(c *engine.Config, _ *engine.Info) any { return c.Model.ConfigSHA256 }},
		{"random weights", func(c *engine.Config, _ *engine.Info) any { return c.Model.Synthetic }},
		{"dtype", func(_ *engine.Config, i *engine.Info) any { return i.DType }},
		{"graph mode", func(_ *engine.Config, i *engine.Info) any { return i.GraphMode }},
		{"max_model_len", func(_ *engine.Config, i *engine.Info) any { return i.MaxModelLen }},
		{"max_num_seqs", func(_ *engine.Config, i *engine.Info) any { return i.MaxNumSeqs }},
		{"max_num_batched_tokens", func(_ *engine.Config, i *engine.Info) any { return i.MaxNumBatchedTokens }},
		{"prefix caching", func(_ *engine.Config, i *engine.Info) any { return i.PrefixCaching }},
		{"asynchronous scheduling", func(_ *engine.Config, i *engine.Info) any { return i.AsyncScheduling }},
		{"tensor parallel size", func(c *engine.Config, _ *engine.Info) any { return max(1, c.TP) }},
		{"pipeline parallel size", func(c *engine.Config, _ *engine.Info) any { return max(1, c.PP) }},
	} {
		va, vb := f.of(&x.Config, &x.Info), f.of(&y.Config, &y.Info)
		if va != vb {
			out = append(out, fmt.Sprintf("%s: %v and %v", f.what, text(va), text(vb)))
		}
	}
	// Where the CPU is the device, its model is the device's name.
	if x.Info.Platform == "cpu" {
		if a.Host.CPUModel != b.Host.CPUModel || a.Host.CPUs != b.Host.CPUs {
			out = append(out, fmt.Sprintf("CPU: %d × %s and %d × %s", a.Host.CPUs, a.Host.CPUModel, b.Host.CPUs, b.Host.CPUModel))
		}
	}
	return out
}
