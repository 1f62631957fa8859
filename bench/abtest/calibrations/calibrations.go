// Package calibrations finds and keeps noise floors: one JSON file each, in a
// folder of the user's and in those that the program ships with.
package calibrations

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"stepbench/bench/abtest/estimate"
	"stepbench/internal/atomicfile"
)

//go:embed shipped
var shipped embed.FS

// Set is a number of calibrations; where several hold, the earliest counts.
type Set []*estimate.Calibration

// Load reads those of dir, which may be missing, and then those shipped.
func Load(dir string) (Set, error) {
	var all Set
	if dir != "" {
		own, err := read(os.DirFS(dir))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("calibrations in %s: %w", dir, err)
		}
		all = own
	}
	with, err := fs.Sub(shipped, "shipped")
	if err != nil {
		return nil, err
	}
	rest, err := read(with)
	if err != nil {
		return nil, fmt.Errorf("shipped calibrations: %w", err)
	}
	return append(all, rest...), nil
}

func read(dir fs.FS) (Set, error) {
	entries, err := fs.ReadDir(dir, ".")
	if err != nil {
		return nil, err
	}
	var all Set
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".json") {
			continue
		}
		text, err := fs.ReadFile(dir, e.Name())
		if err != nil {
			return nil, err
		}
		var c estimate.Calibration
		if err := json.Unmarshal(text, &c); err != nil {
			return nil, fmt.Errorf("%s: %w: delete it and calibrate again", e.Name(), err)
		}
		if err := c.Validate(); err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name(), err)
		}
		all = append(all, &c)
	}
	return all, nil
}

// Find is the calibration that holds for run. Where there is none, why names
// what the nearest one differs in, empty if none is of that endpoint and class.
func (s Set) Find(run estimate.Key) (c *estimate.Calibration, why string) {
	var nearest []string
	for _, c := range s {
		differ := c.Key.Differences(run)
		if len(differ) == 0 {
			return c, ""
		}
		if c.Key.Endpoint == run.Endpoint && c.Key.CellClass == run.CellClass && (nearest == nil || len(differ) < len(nearest)) {
			nearest = differ
		}
	}
	return nil, strings.Join(nearest, "; ")
}

var unfit = regexp.MustCompile(`[^a-z0-9.]+`)

// Name is the file name of a calibration.
func Name(k estimate.Key) string {
	text := strings.Join([]string{k.Device, "vllm " + k.VLLMVersion, k.Model, k.CellClass, k.Endpoint}, "-")
	return strings.Trim(unfit.ReplaceAllString(strings.ToLower(text), "-"), "-") + ".json"
}

// Save writes c into dir under its name, over an older one of the same key.
func Save(dir string, c *estimate.Calibration) (path string, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make calibration folder: %w", err)
	}
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, Name(c.Key))
	return path, atomicfile.WriteBytes(path, append(text, '\n'))
}
