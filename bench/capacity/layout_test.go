package capacity

import (
	"fmt"
	"slices"
	"testing"

	"stepbench/engine"
)

// grouped is smollm2-135m with heads that can be split.
var grouped = engine.ModelShape{
	Architecture: "LlamaForCausalLM", Layers: 30, Hidden: 576, Intermediate: 1536, Heads: 8, KVHeads: 2, HeadDim: 64,
	Vocab: 49152, MaxPositions: 8192, Parameters: 30*(2*576*512+2*576*128+3*576*1536+2*576) + 49152*576 + 576,
}

func TestLayouts(t *testing.T) {
	want := []Layout{{1, 1}, {2, 1}, {1, 2}, {4, 1}, {2, 2}, {1, 4}}
	if got := Layouts(4); !slices.Equal(got, want) {
		t.Errorf("layouts of 4: %v, want %v", got, want)
	}
	if got := Layouts(3); !slices.Equal(got, []Layout{{1, 1}, {3, 1}, {1, 3}}) {
		t.Errorf("layouts of 3: %v", got)
	}
}

// TestStageLayers has the partitions of vllm/distributed/utils.py's get_pp_indices.
func TestStageLayers(t *testing.T) {
	for _, tt := range []struct {
		layers, pp int
		want       []int
	}{{30, 4, []int{7, 8, 8, 7}}, {32, 4, []int{8, 8, 8, 8}}, {7, 4, []int{2, 2, 2, 1}}, {5, 4, []int{1, 1, 2, 1}}, {3, 2, []int{2, 1}}} {
		if got := (Layout{1, tt.pp}).StageLayers(tt.layers); !slices.Equal(got, tt.want) {
			t.Errorf("%d layers in %d stages: %v, want %v", tt.layers, tt.pp, got, tt.want)
		}
	}
}

func TestRefused(t *testing.T) {
	smol, gpt2 := shape(t, "smollm2-135m"), shape(t, "gpt2")
	many := grouped
	many.KVHeads, many.Heads = 4, 12
	for _, tt := range []struct {
		name  string
		l     Layout
		s     *engine.ModelShape
		wants string
	}{
		{"one", Layout{1, 1}, smol, ""},
		{"9 heads", Layout{2, 1}, smol, "Total number of attention heads (9) must be divisible by tensor parallel size (2)."},
		{"heads replicated", Layout{8, 1}, &grouped, ""},
		{"4 KV heads on 6", Layout{6, 1}, &many, "6 is not divisible by 4"},
		{"4 KV heads on 3", Layout{3, 1}, &many, "4 is not divisible by 3"},
		{"padded vocabulary", Layout{3, 1}, gpt2, ""}, // 50304
		{"more stages than layers", Layout{1, 16}, gpt2, "12 layers give 16 stages: 4 would have none"},
	} {
		if got := tt.l.Refused(tt.s); got != tt.wants {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.wants)
		}
	}
}

// TestWeights: on one device they are the model's, with the vocabulary's padding;
// spread, what is not replicated adds up to it.
func TestWeights(t *testing.T) {
	for _, name := range []string{"llama-2-7b", "llama-2-13b", "gpt2", "smollm2-135m"} {
		s := shape(t, name)
		padding := int64(paddedVocab(s)-s.Vocab) * int64(s.Hidden)
		if got, want := (Layout{1, 1}).Weights(s, 0).Total(), s.Parameters+padding; got != want {
			t.Errorf("%s: %d parameters, want %d", name, got, want)
		}
	}
	llama := shape(t, "llama-2-7b")
	for _, l := range []Layout{{2, 1}, {4, 1}, {1, 2}, {2, 2}, {1, 4}} {
		var total, other int64
		for stage := range l.PP {
			w := l.Weights(llama, stage)
			total += int64(l.TP) * (w.Linear + w.Embedding + w.Output)
			other += w.Other
		}
		if got := total + other; got > llama.Parameters || got < llama.Parameters-int64(llama.Hidden) {
			t.Errorf("%+v: %d parameters in all, the model has %d", l, got, llama.Parameters)
		}
	}
	// The tied table lies in the first and in the last stage.
	if first, middle, last := (Layout{1, 3}).Weights(&grouped, 0), (Layout{1, 3}).Weights(&grouped, 1), (Layout{1, 3}).Weights(&grouped, 2); first.Embedding != 49152*576 || middle.Embedding != 0 || last.Embedding != first.Embedding {
		t.Errorf("tied table in stages: %d, %d, %d", first.Embedding, middle.Embedding, last.Embedding)
	}
}

// TestKVHeads: each rank has one at least, so more ranks than heads keep copies.
func TestKVHeads(t *testing.T) {
	d, _ := FindDevice("80GiB")
	lim := Limits{ElementBytes: 2, Utilization: 0.9, MaxBatchedTokens: 2048, MaxSeqs: 128, ContextTokens: 100}
	for tp, want := range map[int]int64{1: 2, 2: 1, 4: 1, 8: 1} {
		m := Layout{tp, 1}.Memory(&grouped, d, lim)
		if m.KVBytesPerToken != want*2*30*64*2 {
			t.Errorf("tp=%d: %d bytes a token, want those of %d heads", tp, m.KVBytesPerToken, want)
		}
		if blocks := m.KVTokens / BlockTokens; m.Sequences != blocks/7 { // 100 tokens need 7 blocks
			t.Errorf("tp=%d: %d sequences of 7 blocks in %d", tp, m.Sequences, blocks)
		}
	}
	tiny, _ := FindDevice("100MiB")
	if m := (Layout{1, 1}).Memory(&grouped, tiny, lim); m.Sequences != 0 || m.KVTokens != 0 || m.KVBytes >= 0 {
		t.Errorf("weights above the memory leave %+v", m)
	}
}

// TestAllReduce: the ring moves 2(n-1)/n of the bytes, twice a layer and once for
// the embedding.
func TestAllReduce(t *testing.T) {
	link := Link{BytesPerS: 1e9}
	for _, n := range []int{1, 2, 4, 8} {
		seconds, starts := Layout{n, 1}.communication(&grouped, link, 2, 0, Shape{16, 1, 100})
		if n == 1 {
			if seconds != 0 || starts != 0 {
				t.Errorf("one rank moves data for %v s", seconds)
			}
			continue
		}
		share := float64(n-1) / float64(n)
		want := (61*2*share*16*576*2 + share*16*49152*2) / 1e9
		if fmt.Sprintf("%.6g", seconds) != fmt.Sprintf("%.6g", want) || starts != 62 {
			t.Errorf("%d ranks: %v s in %v collectives, want %v s in 62", n, seconds, starts, want)
		}
	}
}

func TestFindDevice(t *testing.T) {
	for text, want := range map[string]int64{"85899345920": 80 << 30, "80GiB": 80 << 30, "80GB": 80e9, "512MiB": 512 << 20, "H200": gibs(139.80)} {
		d, err := FindDevice(text)
		if err != nil || d.MemoryBytes != want {
			t.Errorf("%s: %d bytes, %v; want %d", text, d.MemoryBytes, err, want)
		}
	}
	for _, text := range []string{"", "h300", "-1GiB", "80 GiB", "80TiB", "1", "1e12GiB", "99999999999GiB"} {
		if d, err := FindDevice(text); err == nil {
			t.Errorf("%q is taken for %+v", text, d)
		}
	}
	if d := Present("NVIDIA H200", 150754820096); d.BytesPerS != 4.8e12 || d.MemoryBytes != 150754820096 {
		t.Errorf("present H200: %+v", d)
	}
	if d := Present("NVIDIA XYZ", 1<<34); d.BytesPerS != 0 || d.MemoryBytes != 1<<34 {
		t.Errorf("present unknown: %+v", d)
	}
}

func TestFindLink(t *testing.T) {
	h200, _ := FindDevice("h200")
	for text, want := range map[string]float64{"": 450e9, "pcie5": 63e9, "NVLink3": 300e9, "12.5": 12.5e9} {
		if l, err := FindLink(text, h200); err != nil || l.BytesPerS != want {
			t.Errorf("%q: %v, %v; want %v", text, l.BytesPerS, err, want)
		}
	}
	for _, text := range []string{"nvlink9", "0", "-3", "NaN", "Inf"} {
		if l, err := FindLink(text, h200); err == nil {
			t.Errorf("%q is taken for %+v", text, l)
		}
	}
}
