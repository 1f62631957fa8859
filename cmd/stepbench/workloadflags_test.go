package main

import (
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v2"

	"stepbench/bench/workload"
)

// parseWorkload reads flags as the command run does.
func parseWorkload(args ...string) (flags workload.Flags, err error) {
	app := &cli.App{
		Writer: io.Discard, ErrWriter: io.Discard, Flags: workloadFlagSet(),
		Action: func(c *cli.Context) (err error) {
			flags, err = workloadFlags(c)
			return err
		},
		ExitErrHandler: func(*cli.Context, error) {},
	}
	err = app.Run(append([]string{"run"}, args...))
	return flags, err
}

func traceFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "trace.csv")
	text := "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:50.9951690,396,109\n2023-11-16 18:15:51,9,0\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWorkloadFlags(t *testing.T) {
	changed := func(change func(*workload.Flags)) workload.Flags {
		f := workload.DefaultFlags()
		f.Dataset = "random"
		change(&f)
		return f
	}
	tests := []struct {
		name string
		args string
		want workload.Flags
	}{
		{"defaults", "", changed(func(*workload.Flags) {})},
		{"closed loop", "--concurrency 8 --seed 3", changed(func(f *workload.Flags) { f.Concurrency, f.Seed = 8, 3 })},
		{"on and off", "--pattern on-off --burst-on 500ms --burst-off 2s --rate 5 --raw",
			changed(func(f *workload.Flags) { f.Pattern, f.OnS, f.OffS, f.RatePerS, f.Raw = "on-off", 0.5, 2, 5, true })},
		{"service level", "--slo ttft=200ms,tpot=50ms --rate inf",
			changed(func(f *workload.Flags) { f.SLO, f.RatePerS = &workload.SLO{TTFTNs: 200e6, TPOTNs: 50e6}, math.Inf(1) })},
		{"named dataset", "--dataset random-medium", changed(func(f *workload.Flags) { f.Dataset = "random-medium" })},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseWorkload(strings.Fields(tt.args)...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("flags (-want +got):\n%s", diff)
			}
			if err := got.Validate(workload.Limits{}); err != nil {
				t.Errorf("they are not valid: %v", err)
			}
		})
	}
}

func TestWorkloadFlags_Errors(t *testing.T) {
	trace := traceFile(t)
	tests := []struct{ name, args, want string }{
		{"rate", "--rate fast", `--rate "fast" is not a number`},
		{"service level", "--slo itl=3ms", `--slo: service level "itl=3ms": no latency "itl"`},
		{"no requests in the loop", "--concurrency 0", "--concurrency 0: at least 1"},
		{"no time", "--time-scale 0", "--time-scale 0: must be above 0"},
		{"closed loop with a rate", "--concurrency 2 --rate 5", "--concurrency and --rate: a closed loop has no arrival times"},
		{"trace with a pattern", "--pattern gamma --dataset " + trace, "and --pattern: a trace has arrival times of its own"},
		{"trace with a length", "--output-len 7 --dataset " + trace, "and --output-len: it has lengths of its own"},
		{"fixed lengths", "--dataset random-short --input-len 7", "--dataset random-short and --input-len: it has lengths of its own"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parseWorkload(strings.Fields(tt.args)...)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}
