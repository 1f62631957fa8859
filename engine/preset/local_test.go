package preset

import (
	"strings"
	"testing"

	"stepbench/engine"
)

func TestCheckWeights(t *testing.T) {
	work := t.TempDir()
	t.Chdir(work)
	writeFiles(t, work, map[string]string{
		"good/config.json": llamaConfig, "good/model-00001-of-00002.safetensors": "",
		"mixed/config.json": llamaConfig, "mixed/pytorch_model.bin": "", "mixed/model.safetensors": "",
		"pickle/config.json": llamaConfig, "pickle/pytorch_model.bin": "",
		"consolidated/config.json": llamaConfig, "consolidated/consolidated.00.pth": "",
		"hidden/config.json": llamaConfig, "hidden/.safetensors": "", "hidden/model.pt": "",
		"bare/config.json":      llamaConfig,
		"synthetic/config.json": `{"architectures": ["LlamaForCausalLM"], "stepbench_synthetic": true}`, "synthetic/pytorch_model.bin": "",
	})
	const (
		danger = " is a pickle, which can run code when loaded, and there is no *.safetensors in WORK/"
		remedy = ": convert it with transformers' save_pretrained, or if you trust it add --engine-arg load_format=auto"
	)
	tests := []struct {
		name, model string
		extra       map[string]any
		want        string // of the error
	}{
		{"safetensors", "good", nil, ""},
		{"a pickle beside them, which vLLM leaves alone", "mixed", nil, ""},
		{"random weights", "synthetic", nil, ""},
		{"hub", "org/name", nil, ""},
		{"pickle", "pickle", nil, `model "pickle": pytorch_model.bin` + danger + "pickle" + remedy},
		{"pickle and other arguments", "pickle", map[string]any{"seed": 1}, `model "pickle": pytorch_model.bin` + danger + "pickle" + remedy},
		{"pickle of another name", "consolidated", nil, `model "consolidated": consolidated.00.pth` + danger + "consolidated" + remedy},
		{"a name that only looks like safetensors", "hidden", nil, `model "hidden": model.pt` + danger + "hidden" + remedy},
		{"pickle, asked for", "pickle", map[string]any{"load_format": "auto"}, ""},
		{"none", "bare", nil, `model "bare": no *.safetensors in WORK/bare: add the weights, or "stepbench_synthetic": true to its config.json for random ones`},
		{"none, asked for", "bare", map[string]any{"load_format": "dummy"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if err := CheckWeights(&engine.Config{Model: mustResolve(t, tt.model, t.TempDir()), Extra: tt.extra}); err != nil {
				got = strings.ReplaceAll(err.Error(), work, "WORK")
			}
			if got != tt.want {
				t.Errorf("error\n got %s\nwant %s", got, tt.want)
			}
		})
	}
}
