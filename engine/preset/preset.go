// Package preset finds the model a user names and describes it as an
// [engine.Model].
//
// A preset is the real config.json of a published model, which vLLM fills with
// random weights (load_format=dummy), and a small generated tokenizer. Nothing
// is downloaded: the shapes are real, so is the speed; the text is noise.
package preset

import (
	"embed"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"stepbench/engine"
)

// syntheticKey marks a config.json whose weights are to be random. Hugging
// Face loaders keep unknown keys as plain attributes and ignore them.
const syntheticKey = "stepbench_synthetic"

// configs holds the published config.json of each preset without the keys that
// only say where it came from, and with syntheticKey.
//
//go:embed configs/*.json
var configs embed.FS

type preset struct {
	name      string
	layersKey string // of config.json
	// special tokens by id. Those a published tokenizer has are at its ids;
	// chat markers it lacks are at ids of our choice.
	special  map[int]string
	bos, eos int // ids, as in config.json
}

var llamaSpecial = map[int]string{0: "<unk>", 1: "<s>", 2: "</s>", 3: imStart, 4: imEnd}

// presets are listed by size.
var presets = []preset{
	{
		name:      "tiny", // no published model: two layers, for tests
		layersKey: "num_hidden_layers",
		special:   llamaSpecial,
		bos:       1, eos: 2,
	}, {
		name:      "gpt2", // openai-community/gpt2, 124M
		layersKey: "n_layer",
		special:   map[int]string{50254: imStart, 50255: imEnd, 50256: "<|endoftext|>"},
		bos:       50256, eos: 50256,
	}, {
		name:      "smollm2-135m", // HuggingFaceTB/SmolLM2-135M
		layersKey: "num_hidden_layers",
		special:   map[int]string{0: "<|endoftext|>", 1: imStart, 2: imEnd},
		bos:       0, eos: 0,
	}, {
		name:      "llama-2-7b", // meta-llama/Llama-2-7b-hf
		layersKey: "num_hidden_layers",
		special:   llamaSpecial,
		bos:       1, eos: 2,
	}, {
		name:      "llama-2-13b", // meta-llama/Llama-2-13b-hf
		layersKey: "num_hidden_layers",
		special:   llamaSpecial,
		bos:       1, eos: 2,
	},
}

// Names lists the presets, smallest first.
func Names() []string {
	names := make([]string, len(presets))
	for i, p := range presets {
		names[i] = p.name
	}
	return names
}

func lookup(name string) (preset, bool) {
	for _, p := range presets {
		if p.name == name {
			return p, true
		}
	}
	return preset{}, false
}

// parseCut splits NAME:N. Without a colon layers is 0, meaning all. N is
// written plainly, so that one cut has one name.
func parseCut(name string) (base string, layers int, err error) {
	base, cut, found := strings.Cut(name, ":")
	if !found {
		return name, 0, nil
	}
	layers, err = strconv.Atoi(cut)
	if err != nil || layers < 1 || strconv.Itoa(layers) != cut {
		return base, 0, fmt.Errorf("model %q: %q is not a number of layers: write NAME:N with N from 1", name, cut)
	}
	return base, layers, nil
}

// config gives the preset's config.json, cut to the given number of layers
// unless that is 0, and its shape.
func (p preset) config(layers int) ([]byte, *engine.ModelShape, error) {
	data, err := configs.ReadFile("configs/" + p.name + ".json")
	if err != nil {
		return nil, nil, err
	}
	// RawMessage keeps numbers as published: 1e-05 stays 1e-05.
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(data, &keys); err != nil {
		return nil, nil, fmt.Errorf("preset %s: %w", p.name, err)
	}
	if layers > 0 {
		all, err := strconv.Atoi(string(keys[p.layersKey]))
		if err != nil {
			return nil, nil, fmt.Errorf("preset %s: %w", p.name, err)
		}
		if layers > all {
			return nil, nil, fmt.Errorf("model %q: %s has %d layers: give %s:N with N from 1 to %d",
				p.name+":"+strconv.Itoa(layers), p.name, all, p.name, all)
		}
		keys[p.layersKey] = json.RawMessage(strconv.Itoa(layers))
	}
	if data, err = encode(keys); err != nil {
		return nil, nil, err
	}
	return data, readShape(data), nil
}
