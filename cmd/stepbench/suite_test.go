package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"stepbench/bench/suite"
)

func TestSuiteUsage(t *testing.T) {
	taken := t.TempDir()
	if err := os.WriteFile(filepath.Join(taken, "thesis.txt"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(t.TempDir(), "bad.toml")
	if err := os.WriteFile(bad, []byte("name = \"bad\"\nratess = [1]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, args, want string
	}{
		{"no such suite", "run qick", `suite "qick" is neither built in (quick, full)`},
		{"unknown key", "run " + bad, bad + ":2: no such key ratess"},
		{"two suites", "run quick full", `got "full" as well`},
		{"a flag of a single run", "run quick --rate 5", "--rate: the suite says it"},
		{"an engine's flag", "run quick --eager", "--eager: the suite says it"},
		{"a bad op", "run quick --custom-ops silu_and_mul", `--custom-ops "silu_and_mul" is not +op, -op, all or none`},
		{"a bad priority", "run --ir-op-priority rms_norm", `--ir-op-priority "rms_norm" is not OP=IMPLEMENTATION`},
		{"a bad service level", "run quick --slo fast", "fast"},
		{"dry run of nothing", "run --dry-run", "--dry-run needs a SUITE"},
		{"sampling too often", "run quick --sample-hz 1e6", "--sample-hz 1e+06"},
		{"sampling at nothing", "run quick --sample-hz NaN", "--sample-hz NaN"},
		{"directory is taken", "run quick --out " + taken, "it holds thesis.txt"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(append([]string{"stepbench"}, strings.Fields(tt.args)...), &stdout, &stderr)
			if code != exitUsage || !strings.Contains(stderr.String(), tt.want) {
				t.Errorf("exit %d: %s\nwant %d and %q", code, stderr.String(), exitUsage, tt.want)
			}
		})
	}
}

// TestSuiteKernelFlags: the kernels asked for are in the configuration of every
// engine of the suite, beside what its file says of them.
func TestSuiteKernelFlags(t *testing.T) {
	path := filepath.Join(t.TempDir(), "small.toml")
	text := "name = \"small\"\nmodels = [\"gpt2\", \"gpt2:2\"]\n[engine.args]\nseed = 3\n[engine.args.compilation_config]\nlevel = 0\n"
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	var m *suite.Manifest
	command := runCommand()
	command.Action = func(c *cli.Context) (err error) {
		m, err = newSuite(c)
		return err
	}
	app := &cli.App{Commands: []*cli.Command{command}, DisableSliceFlagSeparator: true}
	args := []string{"stepbench", "run", "--custom-ops", "+gelu_new,-rms_norm", "--ir-op-priority", "rms_norm=vllm_c,native", "--attention-backend", "TRITON_ATTN", path}
	if err := app.Run(args); err != nil {
		t.Fatal(err)
	}
	if len(m.Engines) != 2 {
		t.Fatalf("%d engines, want 2", len(m.Engines))
	}
	for _, e := range m.Engines {
		got, err := json.Marshal(e.Config.Extra)
		if err != nil {
			t.Fatal(err)
		}
		want := `{"attention_backend":"TRITON_ATTN","compilation_config":{"custom_ops":["+gelu_new","-rms_norm"],"level":0},"ir_op_priority":{"rms_norm":["vllm_c","native"]},"seed":3}`
		if string(got) != want {
			t.Errorf("engine %s has arguments\n%s, want\n%s", e.Name, got, want)
		}
	}
}

func TestSuiteDryRun(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run([]string{"stepbench", "run", "--dry-run", "quick"}, &stdout, &stderr); code != exitOK {
		t.Fatalf("exit %d: %s", code, stderr.String())
	}
	for _, want := range []string{"rate-20", "dataset-c4", "(stand-in)", "pattern-burst", "model-gpt2-2", "parallelism tp=2", "at least"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("the plan lacks %q:\n%s", want, stdout.String())
		}
	}
}
