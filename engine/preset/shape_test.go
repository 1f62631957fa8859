package preset

import (
	"strings"
	"testing"
)

// Sizes and totals as published with each model.
func TestReadShape_Parameters(t *testing.T) {
	tests := []struct {
		name, config string
		want         int64
	}{
		{"gpt2 with inner size written out", `{"architectures": ["GPT2LMHeadModel"], "n_embd": 1024, "n_inner": 4096, "n_layer": 24, "n_head": 16, "n_positions": 1024, "vocab_size": 50257}`, 354_823_168},
		{"Mistral-7B-v0.1", `{"architectures": ["MistralForCausalLM"], "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "max_position_embeddings": 32768, "vocab_size": 32000, "tie_word_embeddings": false}`, 7_241_732_096},
		{"Qwen2-0.5B", `{"architectures": ["Qwen2ForCausalLM"], "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2, "max_position_embeddings": 131072, "vocab_size": 151936, "tie_word_embeddings": true}`, 494_032_768},
		{"Qwen3-0.6B", `{"architectures": ["Qwen3ForCausalLM"], "hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128, "max_position_embeddings": 40960, "vocab_size": 151936, "tie_word_embeddings": true}`, 596_049_920},
		{"Llama with biases", `{"architectures": ["LlamaForCausalLM"], "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 32, "vocab_size": 10, "attention_bias": true, "mlp_bias": true}`, 2*80 + (8*16 + 8*8 + 3*128 + 16) + (16 + 8) + (32 + 8) + 8},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := readShape([]byte(tt.config))
			if s == nil {
				t.Fatal("no shape")
			}
			if s.Parameters != tt.want {
				t.Errorf("%d parameters, want %d: %+v", s.Parameters, tt.want, *s)
			}
		})
	}
}

func TestReadShape_Unknown(t *testing.T) {
	tests := []struct{ name, config string }{
		{"no architecture", `{"hidden_size": 8}`},
		{"other architecture", `{"architectures": ["MambaForCausalLM"], "hidden_size": 8}`},
		{"a size is missing", `{"architectures": ["LlamaForCausalLM"], "hidden_size": 8, "num_attention_heads": 2}`},
		{"no heads", `{"architectures": ["LlamaForCausalLM"], "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "max_position_embeddings": 8, "vocab_size": 8}`},
		{"key-value heads of a family without that default", `{"architectures": ["MistralForCausalLM"], "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 8, "vocab_size": 8}`},
		{"a size a layer", `{"architectures": ["LlamaForCausalLM"], "intermediate_size": [8, 16]}`},
		{"negative", `{"architectures": ["GPT2LMHeadModel"], "n_embd": 8, "n_layer": -1, "n_head": 2, "n_positions": 8, "vocab_size": 8}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if s := readShape([]byte(tt.config)); s != nil {
				t.Errorf("got %+v, want no shape", *s)
			}
		})
	}
}

// FuzzReadShape: a folder's config.json gives sizes that can be computed with, or
// none.
func FuzzReadShape(f *testing.F) {
	entries, err := configs.ReadDir("configs")
	if err != nil || len(entries) == 0 {
		f.Fatal(entries, err)
	}
	for _, e := range entries {
		config, err := configs.ReadFile("configs/" + e.Name())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(config)
	}
	f.Add([]byte(strings.Replace(llamaConfig, `"hidden_size": 8`, `"hidden_size": 9223372036854775807`, 1)))
	f.Add([]byte(`{"architectures": ["GPT2LMHeadModel"], "n_head": -1}`))
	f.Fuzz(func(t *testing.T, config []byte) {
		s := readShape(config)
		if s == nil {
			return
		}
		if least := int64(s.Vocab)*int64(s.Hidden) + int64(s.Layers)*int64(s.Hidden)*int64(s.Intermediate); s.Parameters < least || least <= 0 {
			t.Errorf("%d parameters of %+v", s.Parameters, s)
		}
	})
}
