package encode

import (
	"fmt"

	"stepbench/bench/figure"
	"stepbench/bench/micro"
	"stepbench/internal/markdown"
)

// Heatmap is the figure of res: a panel for each phase and chunk, with the
// cells that batch and context describe. Refused cells are marked.
func Heatmap(res *micro.Results) figure.Heatmap {
	h := figure.Heatmap{Title: markdown.OneLine("Step time and idle share, " + res.Model.Name), Notes: []string{markdown.OneLine(banner(res))}}
	panels := map[string]int{}
	add := func(c micro.Cell, value figure.HeatCell) {
		a := c.Axes()
		if !a.Exact {
			return
		}
		title := string(a.Phase)
		if a.Chunk > 0 {
			title += fmt.Sprintf(", %d prompt tokens a step", a.Chunk)
		}
		if a.Phase == micro.Mixed && a.Chunk == a.Context {
			title = "mixed, one prompt as long as the context"
		}
		i, known := panels[title]
		if !known {
			i = len(h.Panels)
			panels[title] = i
			h.Panels = append(h.Panels, figure.HeatPanel{Title: title})
		}
		value.Batch, value.Context = a.Batch, a.Context
		h.Panels[i].Cells = append(h.Panels[i].Cells, value)
	}
	rounds, device := 0, false
	for _, c := range res.Cells {
		value := figure.HeatCell{StepNs: c.Wall.MedianNs}
		if !c.Valid {
			value.Mark = micro.FlagInvalid
		}
		if c.Device != nil {
			device = true
			value.IdleFrac = &c.Device.BubbleFrac
		}
		if n := len(c.Rounds); n > 0 && (rounds == 0 || n < rounds) {
			rounds = n
		}
		add(c.Cell, value)
	}
	for _, r := range res.Refused {
		add(r.Cell, figure.HeatCell{Mark: micro.FlagRefused})
	}
	note := fmt.Sprintf("median over at least %d rounds of the time inside LLMEngine.step", rounds)
	if device {
		note += "; idle: that less the busy time under the profiler"
	}
	h.Notes = append(h.Notes, note)
	return h
}
