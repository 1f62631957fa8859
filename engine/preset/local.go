package preset

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

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
	model := engine.Model{
		Name:         name,
		Path:         dir,
		Synthetic:    string(keys[syntheticKey]) == "true",
		Shape:        readShape(config),
		ConfigSHA256: hash(config),
	}
	if !model.Synthetic {
		if err := checkWeights(dir); err != nil {
			return engine.Model{}, fmt.Errorf("model %q: %w", name, err)
		}
	}
	return model, nil
}

// checkWeights refuses a folder without safetensors before an engine spends a
// minute on finding out. Pickles are refused because loading one can run any
// code.
func checkWeights(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	pickle := ""
	for _, e := range entries {
		switch filepath.Ext(e.Name()) {
		case ".safetensors":
			return nil
		case ".bin", ".pt", ".pth":
			pickle = e.Name()
		}
	}
	if pickle != "" {
		return fmt.Errorf("%s is a pickle, which can run code when loaded, and there is no *.safetensors in %s: "+
			"convert it with transformers' save_pretrained", pickle, dir)
	}
	return fmt.Errorf(`no *.safetensors in %s: add the weights, or "%s": true to its config.json for random ones`, dir, syntheticKey)
}
