//go:build integration

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"stepbench/engine/doctor"
)

// The built command on this machine, with the real interpreter, shim and vLLM.
func TestDoctorOnThisMachine(t *testing.T) {
	cmd := exec.Command(buildStepbench(t), "doctor", "--json")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	t.Logf("doctor: %v\n%s%s", err, stdout.Bytes(), stderr.Bytes())
	var report doctor.Report
	if err := json.Unmarshal(stdout.Bytes(), &report); err != nil {
		t.Fatalf("stdout is not JSON: %v", err)
	}
	if !report.OK || err != nil {
		t.Fatalf("not ready to run: %v\n%s", err, stderr.Bytes())
	}
	rows := map[string]doctor.Check{}
	for _, c := range report.Checks {
		rows[c.Name] = c
		if strings.HasPrefix(c.Name, "module ") {
			checkHash(t, rows["vllm"], c)
		}
	}
	for name, value := range map[string]string{"vllm": "0.26.0", "torch": "2.11.0", "shim": "ABI matches", "libpython": "loaded"} {
		if c := rows[name]; c.Status != doctor.OK || !strings.HasPrefix(c.Value, value) {
			t.Errorf("%s: %+v, want ok and %s", name, c, value)
		}
	}
	for _, key := range []string{"executable_ns", "embedded_ns", "ratio_median"} {
		if ns, _ := rows["embedded python"].Facts[key].(float64); ns <= 0 {
			t.Errorf("embedded python: %s is %v: %+v", key, ns, rows["embedded python"])
		}
	}
	if picked, ok := rows["isa"].Facts["module"].(string); ok {
		if want := torchPicks(t, rows["python"].Facts["executable"].(string)); picked != want {
			t.Errorf("doctor says that vLLM loads %s, by torch's own checks it is %s", picked, want)
		}
	}
}

func checkHash(t *testing.T, vllm, row doctor.Check) {
	t.Helper()
	path := filepath.Join(vllm.Facts["folder"].(string), row.Facts["file"].(string))
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	if got := row.Facts["sha256"]; got != hex.EncodeToString(sum[:]) {
		t.Errorf("%s: sha256 %v, want %x", path, got, sum)
	}
}

// torchPicks repeats the decision in vllm/platforms/cpu.py with the functions
// that it calls.
func torchPicks(t *testing.T, python string) string {
	t.Helper()
	out, err := exec.Command(python, "-c", `import torch.cpu
avx512, bf16 = torch.cpu._is_avx512_supported(), torch.cpu._is_avx512_bf16_supported()
print("_C_AVX2" if not avx512 else "_C" if bf16 else "_C_AVX512")`).Output()
	if err != nil {
		t.Fatalf("ask torch: %v", err)
	}
	return strings.TrimSpace(string(out))
}
