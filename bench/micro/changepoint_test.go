package micro

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestChangepoints(t *testing.T) {
	tests := []struct {
		name string
		x    []float64
		want []int
		drop int
	}{
		{"none", nil, nil, 0},
		{"constant", []float64{5, 5, 5, 5, 5, 5}, nil, 0},
		{"one slow start", []float64{12, 10, 10.1, 9.9, 10, 10.1, 9.9, 10}, []int{1}, 1},
		{"two slow", []float64{12, 12, 10, 10.1, 9.9, 10, 10.1, 9.9}, []int{2}, 2},
		{"a late change stays", []float64{10, 10.1, 9.9, 10, 12, 12.1, 11.9, 12}, []int{4}, 0},
		{"too few to drop one", []float64{12, 10, 10}, nil, 0},
		{"below what matters", []float64{10.001, 10, 10, 10, 10, 10, 10, 10}, nil, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.name != "too few to drop one" {
				if diff := cmp.Diff(tt.want, changepoints(tt.x)); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
			}
			if got := unsteadyRounds(tt.x); got != tt.drop {
				t.Errorf("drops %d, want %d", got, tt.drop)
			}
		})
	}
}

// TestChangepointFalseAlarms: on steady rounds little is dropped, on a shift of
// five deviations the shift is found.
func TestChangepointFalseAlarms(t *testing.T) {
	const draws = 1000
	rng := rand.New(rand.NewPCG(4, 1))
	dropped, found := 0, 0
	for range draws {
		x := make([]float64, 20)
		for i := range x {
			x[i] = 100 + rng.NormFloat64()
		}
		if unsteadyRounds(x) > 0 {
			dropped++
		}
		y := slices.Clone(x)
		for i := range 4 {
			y[i] += 5
		}
		if unsteadyRounds(y) == 4 {
			found++
		}
	}
	if dropped > draws/4 {
		t.Errorf("%d of %d steady series lose rounds", dropped, draws)
	}
	if found < draws*8/10 {
		t.Errorf("%d of %d shifts found", found, draws)
	}
	t.Logf("dropped %d, found %d of %d", dropped, found, draws)
}
