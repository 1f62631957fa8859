package stats

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHolm(t *testing.T) {
	tests := []struct {
		name string
		p    []float64
		want []bool
	}{
		{"none", nil, []bool{}},
		{"a single one is not corrected", []float64{0.05}, []bool{true}},
		// Limits 0.0125, 0.0167, 0.025, 0.05: the third fails and ends it.
		{"stops at the first failure", []float64{0.04, 0.012, 0.03, 0.016}, []bool{false, true, false, true}},
		{"the smallest fails", []float64{0.02, 0.02, 0.02}, []bool{false, false, false}},
		{"more than Bonferroni rejects", []float64{0.02, 0.001, 0.04}, []bool{true, true, true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, Holm(tt.p, 0.05)); diff != "" {
				t.Errorf("rejected (-want +got):\n%s", diff)
			}
		})
	}
}
