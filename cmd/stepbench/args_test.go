package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v2"
)

func TestReorder(t *testing.T) {
	app := &cli.App{Commands: []*cli.Command{{
		Name:  "run",
		Flags: []cli.Flag{&cli.StringFlag{Name: "out", Aliases: []string{"o"}}, &cli.BoolFlag{Name: "eager"}, &cli.IntFlag{Name: "n"}},
	}, {
		Name:        "dataset",
		Subcommands: []*cli.Command{{Name: "inspect", Flags: []cli.Flag{&cli.StringFlag{Name: "out"}}}},
	}}}
	tests := []struct {
		name string
		in   []string
		want []string
	}{
		{"flags behind the argument", []string{"p", "run", "a.toml", "--out", "d"}, []string{"p", "run", "--out", "d", "a.toml"}},
		{"flags before it", []string{"p", "run", "--out", "d", "a.toml"}, []string{"p", "run", "--out", "d", "a.toml"}},
		{"boolean takes no value", []string{"p", "run", "a", "--eager", "b"}, []string{"p", "run", "--eager", "a", "b"}},
		{"value with equals", []string{"p", "run", "a", "--n=3", "b"}, []string{"p", "run", "--n=3", "a", "b"}},
		{"alias", []string{"p", "run", "a", "-o", "d"}, []string{"p", "run", "-o", "d", "a"}},
		{"negative value", []string{"p", "run", "a", "--n", "-3"}, []string{"p", "run", "--n", "-3", "a"}},
		{"after the double dash", []string{"p", "run", "a", "--", "--out", "d"}, []string{"p", "run", "a", "--", "--out", "d"}},
		{"a lone dash is an argument", []string{"p", "run", "-", "--eager"}, []string{"p", "run", "--eager", "-"}},
		{"flag without its value", []string{"p", "run", "a", "--out"}, []string{"p", "run", "--out", "a"}},
		{"flags of a sub-command", []string{"p", "dataset", "inspect", "f", "--out", "d"}, []string{"p", "dataset", "inspect", "--out", "d", "f"}},
		{"unknown command", []string{"p", "walk", "a", "--out", "d"}, []string{"p", "walk", "a", "--out", "d"}},
		{"no command", []string{"p", "--version"}, []string{"p", "--version"}},
		{"nothing", []string{"p"}, []string{"p"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, reorder(app, tt.in)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestExitCodes(t *testing.T) {
	tests := []struct {
		name   string
		err    error
		code   int
		stderr string
	}{
		{"success", nil, 0, ""},
		{"chosen", exitWith(exitUsage, errors.New("bad rate")), 64, "stepbench: bad rate\n"},
		{"wrapped", fmt.Errorf("run: %w", exitWith(exitEnvironment, errors.New("no shim"))), 69, "stepbench: run: no shim\n"},
		{"silent", exitWith(exitRegression, nil), 1, ""},
		{"unexpected", errors.New("broken"), 70, "stepbench: broken\n"},
		{"cancelled", context.Canceled, 130, "stepbench: context canceled\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stderr bytes.Buffer
			if code := exitCode(tt.err, &stderr); code != tt.code || stderr.String() != tt.stderr {
				t.Errorf("exit %d, %q; want %d, %q", code, stderr.String(), tt.code, tt.stderr)
			}
		})
	}
}

// Bad input is refused before anything is started, with the flag's name.
func TestRefusedCommandLines(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"unknown command", []string{"walk"}, "no command walk: stepbench --help lists them"},
		{"unknown flag", []string{"run", "--speed", "3"}, "flag provided but not defined: -speed"},
		{"argument", []string{"run", "suite.toml"}, `suite "suite.toml" is neither built in`},
		{"unknown model", []string{"run", "--model", "gtp2"}, `gpt2`},
		{"too many layers", []string{"run", "--model", "gpt2:13"}, "12"},
		{"no requests", []string{"run", "--requests", "0"}, "--requests"},
		{"rate", []string{"run", "--rate", "fast"}, `--rate "fast" is not a number`},
		{"negative rate", []string{"run", "--rate", "-1"}, "--rate"},
		{"pattern", []string{"run", "--pattern", "tidal"}, "--pattern"},
		{"beyond the context", []string{"run", "--input-len", "1000", "--output-len", "100"}, "1024"},
		{"engine argument", []string{"run", "--engine-arg", "seed"}, `--engine-arg "seed" is not NAME=JSON`},
		{"negative limit", []string{"run", "--max-num-seqs", "-4"}, "--max-num-seqs -4 is negative"},
		{"no ranks", []string{"run", "--tp", "0"}, "--tp 0: at least 1"},
		{"executor", []string{"run", "--executor", "mpi"}, `executor "mpi" is not one of [uni mp ray]`},
		{"ranks in one process", []string{"run", "--tp", "2", "--executor", "uni"}, "choose mp"},
		{"ranks as an engine argument", []string{"run", "--engine-arg", "tensor_parallel_size=2"}, "give tp"},
		{"steps of a pipeline", []string{"steps", "--pp", "2"}, "a call of LLMEngine.step is no step"},
		{"ab of a pipeline", []string{"ab", "stock", "stock", "--pp", "2"}, "a call of LLMEngine.step is no step"},
		{"axis", []string{"steps", "--batch", "1,x"}, "--batch"},
		{"backward range", []string{"steps", "--context", "512..128*2"}, "--context"},
		{"shape", []string{"steps", "8q1t1k"}, "8q1t1k"},
		{"phase", []string{"steps", "--phase", "warm"}, "warm"},
		{"context beyond the model", []string{"steps", "--model", "gpt2", "--batch", "1", "--context", "2k"}, "1024"},
		{"batch beyond the KV cache", []string{"steps", "--model", "gpt2", "--kv-cache-mib", "64", "64q1s900"}, "--kv-cache-mib"},
		{"format", []string{"steps", "-o", "xml"}, "--output"},
		{"second format", []string{"steps", "-oe", "xml"}, "--output-err"},
		{"rules", []string{"steps", "--profile", "slow"}, "slow"},
		{"graph mode", []string{"steps", "--cudagraph", "SOME"}, "--cudagraph SOME"},
		{"custom op", []string{"steps", "--custom-ops", "silu"}, `"silu"`},
		{"op priority", []string{"steps", "--ir-op-priority", "rms_norm"}, `"rms_norm"`},
		{"as a python interpreter", []string{"-c", "from multiprocessing.spawn import spawn_main"}, "sys.executable"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("XDG_CACHE_HOME", t.TempDir())
			t.Chdir(t.TempDir())
			var stderr bytes.Buffer
			code := run(append([]string{"stepbench"}, tt.args...), io.Discard, &stderr)
			if code != exitUsage && tt.name != "as a python interpreter" || code == 0 {
				t.Errorf("exit code %d", code)
			}
			if !bytes.Contains(stderr.Bytes(), []byte(tt.want)) {
				t.Errorf("stderr %q lacks %q", stderr.String(), tt.want)
			}
		})
	}
}

func TestOneOf(t *testing.T) {
	tests := []struct {
		args string
		want string
		err  string
	}{
		{"", "", ""},
		{"--format b", "b", ""},
		{"--format c", "", `--format "c": want one of a, b`},
		{"--format=", "", `--format "": want one of a, b`},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			var got string
			var err error
			app := &cli.App{Flags: []cli.Flag{&cli.StringFlag{Name: "format"}}, Action: func(c *cli.Context) error {
				got, err = oneOf(c, "format", "a", "b")
				return nil
			}}
			if err := app.Run(append([]string{"x"}, strings.Fields(tt.args)...)); err != nil {
				t.Fatal(err)
			}
			if got != tt.want || (err == nil) != (tt.err == "") || err != nil && err.Error() != tt.err {
				t.Errorf("%q, %v, want %q and %q", got, err, tt.want, tt.err)
			}
		})
	}
}
