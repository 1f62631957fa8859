package preset

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"stepbench/engine"
)

const readme = `# Synthetic model

config.json has the real shapes of the model that this folder is named after.
There are no weights: stepbench has vLLM fill them with random numbers. The
tokenizer is generated from a list of English words and is not the model's own.
Speed means something here, text does not.

stepbench wrote this folder and checks it before use. It may be deleted.
`

// materialize writes the preset's model folder below cacheDir, unless it is
// there, and describes it.
func (p preset) materialize(ctx context.Context, name string, layers int, cacheDir string) (engine.Model, error) {
	config, shape, err := p.config(layers)
	if err != nil {
		return engine.Model{}, err
	}
	tokenizer, err := p.tokenizerJSON()
	if err != nil {
		return engine.Model{}, err
	}
	tokenizerConfig, err := p.tokenizerConfigJSON(shape.MaxPositions)
	if err != nil {
		return engine.Model{}, err
	}
	files := map[string][]byte{
		"config.json":           config,
		"tokenizer.json":        tokenizer,
		"tokenizer_config.json": tokenizerConfig,
		"README.md":             []byte(readme),
	}
	if err := ctx.Err(); err != nil {
		return engine.Model{}, err
	}
	dir, err := writeFolder(cacheDir, strings.ReplaceAll(name, ":", "-"), files)
	if err != nil {
		return engine.Model{}, fmt.Errorf("model %q: %w", name, err)
	}
	return engine.Model{
		Name:         name,
		Path:         dir,
		Synthetic:    true,
		Shape:        shape,
		ConfigSHA256: hash(config),
	}, nil
}

// writeFolder makes cacheDir/name-HASH with the given files and gives its
// absolute path. HASH covers the files, so a folder of that name never needs
// to change, and since it appears by one rename, no process sees half of it.
func writeFolder(cacheDir, name string, files map[string][]byte) (string, error) {
	cacheDir, err := filepath.Abs(cacheDir)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cacheDir, name+"-"+folderHash(files))
	if err := verifyFolder(dir, files); !errors.Is(err, fs.ErrNotExist) {
		return dir, err
	}
	if err := os.MkdirAll(cacheDir, 0o755); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(cacheDir, ".tmp-"+name+"-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp) // nothing is left of it after the rename
	for file, data := range files {
		if err := os.WriteFile(filepath.Join(tmp, file), data, 0o644); err != nil {
			return "", err
		}
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return "", err
	}
	if err := os.Rename(tmp, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	// Ours, or that of a process which was faster.
	return dir, verifyFolder(dir, files)
}

// verifyFolder reports whether dir holds files unchanged: fs.ErrNotExist if
// there is no dir, another error if it was damaged.
func verifyFolder(dir string, files map[string][]byte) error {
	if _, err := os.Stat(dir); err != nil {
		return err
	}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		got, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil || !bytes.Equal(got, files[file]) {
			return fmt.Errorf("%s was changed or removed: delete the folder and run again", filepath.Join(dir, file))
		}
	}
	return nil
}

// folderHash is a short hash of names and contents.
func folderHash(files map[string][]byte) string {
	h := sha256.New()
	for _, file := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(h, "%s %s\n", hash(files[file]), file)
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}

func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
