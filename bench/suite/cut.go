package suite

import (
	"math"

	"stepbench/bench/workload"
)

// cut shortens the requests of a dataset as the suite asks. Lengths that vary
// keep their distribution: all are scaled by one factor. The spec's keys follow.
func (d DatasetOptions) cut(s *workload.Spec) {
	if d.InputTokens > 0 {
		factor := float64(d.InputTokens) / float64(s.Prompts.InputTokens)
		if s.Data != nil {
			for i := range s.Data.Lengths {
				s.Data.Lengths[i].InputTokens = max(1, int(math.Round(factor*float64(s.Data.Lengths[i].InputTokens))))
			}
		}
		s.Prompts.InputTokens = d.InputTokens
	}
	if d.OutputTokens > 0 {
		if s.Data != nil {
			for i := range s.Data.Lengths {
				s.Data.Lengths[i].OutputTokens = d.OutputTokens
			}
		}
		s.Prompts.OutputTokens = d.OutputTokens
	}
	s.PromptKey = s.Prompts.Key()
}
