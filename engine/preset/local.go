package preset

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"stepbench/engine"
)

// readFolder describes the Hugging Face model folder at path.
func readFolder(name, path string) (engine.Model, error) {
	dir, err := filepath.Abs(path)
	if err != nil {
		return engine.Model{}, fmt.Errorf("model %q: %w", name, err)
	}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) && slices.Contains(converted, filepath.Base(dir)):
		return engine.Model{}, fmt.Errorf("model %q: no folder %s: run make model", name, dir)
	case errors.Is(err, fs.ErrNotExist):
		return engine.Model{}, fmt.Errorf("model %q: no folder %s: give a folder that holds config.json", name, dir)
	case err != nil:
		return engine.Model{}, fmt.Errorf("model %q: %w", name, err)
	case !info.IsDir():
		return engine.Model{}, fmt.Errorf("model %q: %s is a file: give the folder that holds config.json", name, dir)
	}
	file := filepath.Join(dir, "config.json")
	config, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return engine.Model{}, fmt.Errorf("model %q: no %s: give a Hugging Face model folder", name, file)
	case err != nil:
		return engine.Model{}, fmt.Errorf("model %q: %w", name, err)
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(config, &keys); err != nil {
		return engine.Model{}, fmt.Errorf("model %q: %s is not a JSON object: %w", name, file, err)
	}
	return engine.Model{
		Name:         name,
		Path:         dir,
		Synthetic:    string(keys[syntheticKey]) == "true",
		Shape:        readShape(config),
		ConfigSHA256: hash(config),
	}, nil
}

// loadFormat is the field of vLLM's EngineArgs that says how weights are stored.
const loadFormat = "load_format"

// CheckWeights refuses a folder without safetensors before an engine spends a
// minute on finding out. Pickles are refused because loading one can run any
// code, unless a load format is asked for: vLLM's own, auto, takes them too.
func CheckWeights(c *engine.Config) error {
	dir := c.Model.Path
	if _, asked := c.Extra[loadFormat]; asked || c.Model.Synthetic || !filepath.IsAbs(dir) {
		return nil // a hub's are not here: see csrc/adapter/stepbench_adapter/weights.py
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("model %q: %w", c.Model.Name, err)
	}
	pickle := ""
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue // vLLM does not see it
		}
		switch filepath.Ext(e.Name()) {
		case ".safetensors":
			return nil
		case ".bin", ".pt", ".pth", ".ckpt", ".pkl":
			pickle = e.Name()
		}
	}
	if pickle != "" {
		return fmt.Errorf("model %q: %s is a pickle, which can run code when loaded, and there is no *.safetensors in %s: "+
			"convert it with transformers' save_pretrained, or if you trust it add --engine-arg %s=auto", c.Model.Name, pickle, dir, loadFormat)
	}
	return fmt.Errorf(`model %q: no *.safetensors in %s: add the weights, or "%s": true to its config.json for random ones`, c.Model.Name, dir, syntheticKey)
}
