package calibrations

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stepbench/bench/abtest/estimate"
)

func made(t *testing.T, key estimate.Key) *estimate.Calibration {
	t.Helper()
	noise := rand.New(rand.NewPCG(1, 2))
	var launches [][]float64
	for range estimate.CalibrationLaunches {
		var d []float64
		for range 8 {
			d = append(d, 0.001*noise.NormFloat64())
		}
		launches = append(launches, d)
	}
	c, err := estimate.Calibrate(key, "GPU-1", launches)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var h200 = estimate.Key{Device: "NVIDIA H200", DriverMajor: 580, MemoryBytes: 1 << 37, VLLMVersion: "0.26.0", Model: "llama-2-7b:8", CellClass: "decode 8", Endpoint: "kern"}

func TestSaveAndFind(t *testing.T) {
	dir := t.TempDir()
	want := made(t, h200)
	path, err := Save(dir, want)
	if err != nil {
		t.Fatal(err)
	}
	if got := filepath.Base(path); got != "nvidia-h200-vllm-0.26.0-llama-2-7b-8-decode-8-kern.json" {
		t.Errorf("name %s", got)
	}
	set, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	got, why := set.Find(h200)
	if diff := cmp.Diff(want, got); diff != "" || why != "" {
		t.Errorf("%s\n(-want +got):\n%s", why, diff)
	}
	other := h200
	other.VLLMVersion = "0.27.0"
	if got, why := set.Find(other); got != nil || !strings.Contains(why, "vLLM version: calibrated 0.26.0, now 0.27.0") {
		t.Errorf("found %v for another vLLM: %q", got, why)
	}
}

func TestLoadRefusesDamage(t *testing.T) {
	for name, text := range map[string]string{"not JSON": "{", "changed": `{"schema_version": 1}`} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "x.json"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "x.json") {
				t.Errorf("error %v", err)
			}
		})
	}
	if _, err := Load(filepath.Join(t.TempDir(), "missing")); err != nil {
		t.Errorf("a missing folder: %v", err)
	}
}
