package dataset

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stepbench/internal/golden"
)

func newRandom(t *testing.T, spec RandomSpec) *Random {
	t.Helper()
	r, err := NewRandom(spec)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRandomItem(t *testing.T) {
	spec := RandomSpec{InputTokens: 5000, OutputTokens: 7, FirstID: 3, Vocab: 13, Exclude: []int32{12, 5, 6, 5, 99, 0}, Seed: 4}
	item := newRandom(t, spec).Item(0)
	if len(item.Prompt) != 5000 || item.OutputTokens != 7 {
		t.Fatalf("%d prompt and %d output tokens, want 5000 and 7", len(item.Prompt), item.OutputTokens)
	}
	counts := map[int32]int{}
	for _, id := range item.Prompt {
		counts[id]++
	}
	allowed := []int32{3, 4, 7, 8, 9, 10, 11}
	if len(counts) != len(allowed) {
		t.Errorf("drawn ids %v, want exactly %v", counts, allowed)
	}
	// Each count is binomial(5000, 1/7), of deviation 24.7; 4 of these.
	for _, id := range allowed {
		if math.Abs(float64(counts[id])-5000.0/7) > 99 {
			t.Errorf("id %d drawn %d times of 5000, want about 714", id, counts[id])
		}
	}
}

func TestRandomIndependentOfOrder(t *testing.T) {
	spec := RandomSpec{InputTokens: 16, OutputTokens: 1, Vocab: 50257, Seed: 1}
	a, b := newRandom(t, spec), newRandom(t, spec)
	forward := []Item{a.Item(0), a.Item(1), a.Item(2)}
	backward := []Item{b.Item(2), b.Item(1), b.Item(0)}
	for i := range forward {
		if diff := cmp.Diff(forward[i], backward[2-i]); diff != "" {
			t.Errorf("item %d depends on the order of drawing:\n%s", i, diff)
		}
	}
	spec.Seed = 2
	other := newRandom(t, spec).Item(0)
	if cmp.Equal(forward[0], forward[1]) || cmp.Equal(forward[0], other) {
		t.Errorf("items 0 and 1, or seeds 1 and 2, gave the same prompt")
	}
}

func TestRandomGolden(t *testing.T) {
	r := newRandom(t, RandomSpec{InputTokens: 12, OutputTokens: 4, Vocab: 50257, Exclude: []int32{50256}, Seed: 1})
	var b strings.Builder
	for i := range 4 {
		fmt.Fprintln(&b, r.Item(i).Prompt)
	}
	golden.Check(t, "testdata/random.txt", []byte(b.String()))
}

func TestNewRandom_Errors(t *testing.T) {
	tests := []struct {
		name string
		spec RandomSpec
		want []string
	}{
		{"everything wrong", RandomSpec{FirstID: -1, Vocab: -1}, []string{"input length 0", "output length 0", "first token id -1", "no token ids left"}},
		{"all excluded", RandomSpec{InputTokens: 1, OutputTokens: 1, Vocab: 2, Exclude: []int32{0, 1}}, []string{"vocabulary 2, first id 0, 2 special tokens"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := NewRandom(tt.spec)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q lacks %q", err, want)
				}
			}
		})
	}
}
