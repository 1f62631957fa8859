//go:build integration && parallel

package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"stepbench/engine"
)

// Sizes of tinyLlama: heads and KV heads divide by two, layers by two stages.
const (
	tinyLayers, tinyHidden, tinyInner, tinyHeads, tinyKVHeads, tinyHead = 4, 128, 256, 4, 2, 32

	tinyVocab = 1024
)

// tinyLlama writes a Llama with grouped-query attention. Its weights are in a
// file: vLLM's own random ones (load_format=dummy) differ from rank to rank, so
// that two ranks would be another model than one.
func tinyLlama(t *testing.T) engine.Model {
	t.Helper()
	dir := t.TempDir()
	config := map[string]any{
		"architectures": []string{"LlamaForCausalLM"}, "model_type": "llama", "torch_dtype": "float32", "hidden_act": "silu",
		"num_hidden_layers": tinyLayers, "hidden_size": tinyHidden, "intermediate_size": tinyInner,
		"num_attention_heads": tinyHeads, "num_key_value_heads": tinyKVHeads, "head_dim": tinyHead,
		"vocab_size": tinyVocab, "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "tie_word_embeddings": false,
		"bos_token_id": 1, "eos_token_id": 2, "rope_theta": 10000.0,
	}
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	tensors := map[string][]int{
		"model.embed_tokens.weight": {tinyVocab, tinyHidden}, "lm_head.weight": {tinyVocab, tinyHidden}, "model.norm.weight": {tinyHidden},
	}
	for layer := range tinyLayers {
		p := fmt.Sprintf("model.layers.%d.", layer)
		maps.Copy(tensors, map[string][]int{
			p + "self_attn.q_proj.weight": {tinyHeads * tinyHead, tinyHidden},
			p + "self_attn.k_proj.weight": {tinyKVHeads * tinyHead, tinyHidden},
			p + "self_attn.v_proj.weight": {tinyKVHeads * tinyHead, tinyHidden},
			p + "self_attn.o_proj.weight": {tinyHidden, tinyHeads * tinyHead},
			p + "mlp.gate_proj.weight":    {tinyInner, tinyHidden},
			p + "mlp.up_proj.weight":      {tinyInner, tinyHidden},
			p + "mlp.down_proj.weight":    {tinyHidden, tinyInner},
			p + "input_layernorm.weight":  {tinyHidden}, p + "post_attention_layernorm.weight": {tinyHidden},
		})
	}
	for _, err := range []error{
		os.WriteFile(filepath.Join(dir, "config.json"), text, 0o644),
		os.WriteFile(filepath.Join(dir, "model.safetensors"), safetensors(t, tensors), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return engine.Model{Name: "tiny-llama", Path: dir}
}

// safetensors draws float32 tensors: matrices with a spread that keeps
// activations in range, vectors of ones. The format is a length, a JSON header
// and the data (github.com/huggingface/safetensors).
func safetensors(t *testing.T, tensors map[string][]int) []byte {
	t.Helper()
	type entry struct {
		DType   string `json:"dtype"`
		Shape   []int  `json:"shape"`
		Offsets [2]int `json:"data_offsets"`
	}
	header, data := map[string]entry{}, []byte{}
	random := rand.New(rand.NewPCG(1, 2))
	for _, name := range slices.Sorted(maps.Keys(tensors)) {
		shape, start := tensors[name], len(data)
		n, spread := shape[0], 0.0
		if len(shape) == 2 {
			n, spread = shape[0]*shape[1], 1.5/math.Sqrt(float64(shape[1]))
		}
		for range n {
			value := float32(1)
			if spread > 0 {
				value = float32(spread * random.NormFloat64())
			}
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(value))
		}
		header[name] = entry{"F32", shape, [2]int{start, len(data)}}
	}
	text, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, bytes.Repeat([]byte(" "), -len(text)&7)...)
	return slices.Concat(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text, data)
}
