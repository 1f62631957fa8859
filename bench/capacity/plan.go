package capacity

import (
	"slices"

	"stepbench/engine"
)

// Plan is what each layout of a model on so many devices is estimated to give.
type Plan struct {
	// Kind is always "estimate": nothing in it was measured there.
	Kind   string `json:"kind"`
	Model  string `json:"model"`
	DType  string `json:"dtype"`
	GPUs   int    `json:"gpus"`
	Device Device `json:"device"`
	Link   Link   `json:"link"`
	Limits Limits `json:"limits"`
	From   string `json:"expected_from,omitempty"` // file of measured steps
	FromOn string `json:"expected_from_device,omitempty"`
	// Across says that the steps are of other models alone.
	Across  bool    `json:"expected_across_models,omitempty"`
	Options []Entry `json:"layouts"`
}

// Entry is one layout.
type Entry struct {
	Layout
	Refused string  `json:"refused,omitempty"` // why, by Layout.Refused
	Memory  *Memory `json:"memory,omitempty"`  // of the rank with least room
	Rates   []Rate  `json:"rates,omitempty"`   // where it fits
}

// Fits says whether at least one sequence has room.
func (e Entry) Fits() bool { return e.Memory != nil && e.Memory.Sequences > 0 }

// Fill estimates all layouts of the model on p's devices: rates at the given
// batches that fit, and at the largest that does and that vLLM would run at once.
func (p *Plan) Fill(r Rater, batches []int) {
	p.Kind = "estimate"
	for _, l := range Layouts(p.GPUs) {
		e := Entry{Layout: l, Refused: l.Refused(r.Model)}
		if e.Refused == "" {
			m := l.Memory(r.Model, r.Device, p.Limits)
			e.Memory = &m
		}
		if e.Fits() {
			e.Rates = p.rates(r, l, batches, int(min(e.Memory.Sequences, int64(p.Limits.MaxSeqs))))
		}
		p.Options = append(p.Options, e)
	}
}

func (p *Plan) rates(r Rater, l Layout, batches []int, most int) []Rate {
	if r.Device.BytesPerS == 0 {
		return nil
	}
	var out []Rate
	all := slices.DeleteFunc(append(slices.Clone(batches), most), func(b int) bool { return b > most })
	slices.Sort(all)
	for _, b := range slices.Compact(all) {
		out = append(out, r.Decode(l, b, p.Limits.ContextTokens))
	}
	return append(out, r.Prefill(l, min(p.Limits.ContextTokens, p.Limits.MaxBatchedTokens)))
}

// Element is the size of the weights of a model in dtype, bfloat16's if that is
// not said: vLLM keeps what the model was saved in, and halves float32.
func Element(dtype string) (int, bool) {
	if dtype == "" || dtype == "auto" {
		return 2, true
	}
	return engine.ElementBytes(dtype)
}
