package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"stepbench/bench/batch/input"
	"stepbench/bench/batch/output"
	"stepbench/bench/batch/ray"
)

const (
	// shardLockWait is what a network file system may need to give up the lock of
	// a machine that is gone.
	shardLockWait = 5 * time.Minute

	flagEndWithStdin = "end-with-stdin"
)

// rayFlags are those of --ray. They stay with the command that is given; the
// tasks get all others.
func rayFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "ray", Usage: "run as tasks of the Ray cluster at `ADDRESS`, HOST:PORT or auto; OUT.shards keeps their results"},
		&cli.IntFlag{Name: "shards", Usage: "`N` tasks of --ray", DefaultText: "one per GPU, or per node without any"},
		&cli.Float64Flag{Name: "ray-cpus", Usage: "`CPUS` of a task", DefaultText: "a node's, divided by its tasks"},
		&cli.Float64Flag{Name: "ray-gpus", Usage: "`GPUS` of a task", DefaultText: "1, or 0 if the cluster has none"},
		&cli.IntFlag{Name: "ray-retries", Value: 3, Usage: "`TIMES` that Ray runs a task again whose node or process died; -1 for ever"},
		&cli.StringFlag{Name: "ray-python", EnvVars: []string{"STEPBENCH_RAY_PYTHON"},
			Usage: "`PATH` of a python executable with the cluster's Ray", DefaultText: "the nearest .ray, or python3"},
	}
}

// ofTheWhole are flags that a shard does not get.
var ofTheWhole = []string{"strict", "shard", "ordered", "compare", "changed", "output", "lock-wait"}

func checkRay(c *cli.Context, job *batchJob) error {
	if !c.IsSet("ray") {
		for _, f := range rayFlags()[1:] {
			if name := f.Names()[0]; c.IsSet(name) && name != "ray-python" { // whose variable may always be set
				return fmt.Errorf("--%s needs --ray", name)
			}
		}
		return nil
	}
	var errs []error
	if a := c.String("ray"); a == "" || a == "local" {
		errs = append(errs, fmt.Errorf("--ray %q: the address of a cluster that runs is needed, HOST:PORT or auto", a))
	}
	if c.IsSet("shard") {
		errs = append(errs, errors.New("--shard and --ray: a cluster's tasks get their shards from --ray"))
	}
	if slices.Contains(job.paths, input.Stdin) {
		errs = append(errs, errors.New("--ray: standard input is not on the nodes: save it to a file"))
	}
	for _, name := range []string{"shards", "ray-cpus", "ray-gpus"} {
		if n := c.Float64(name); n < 0 {
			errs = append(errs, fmt.Errorf("--%s %g is negative", name, n))
		}
	}
	if c.Int("ray-retries") < -1 {
		errs = append(errs, fmt.Errorf("--ray-retries %d: -1, 0 or more is needed", c.Int("ray-retries")))
	}
	return errors.Join(errs...)
}

// batchOnRay has a cluster answer the shards, and merges them to one result.
func batchOnRay(ctx context.Context, c *cli.Context, job *batchJob, log io.Writer) error {
	folder := filepath.Clean(job.out) + ".shards"
	shards, err1 := earlierShards(folder)
	merged, _, err2 := earlier(job.out)
	if err := errors.Join(err1, err2); err != nil {
		return exitWith(exitUsage, err)
	}
	if merged && shards == 0 {
		return exitWith(exitUsage, fmt.Errorf("%s holds a batch that was begun without --ray: give another output directory", job.out))
	}
	if wanted := c.Int("shards"); shards == 0 {
		shards = wanted
	} else if wanted != 0 && wanted != shards {
		return exitWith(exitUsage, fmt.Errorf("--shards %d: %s was begun with %d shards", wanted, folder, shards))
	}
	python, err := ray.FindPython(c.String("ray-python"))
	if err != nil {
		return exitWith(exitEnvironment, fmt.Errorf("no python with Ray: %w: run make ray, or give --ray-python", err))
	}
	task, err := rayJob(c, job, folder, shards)
	if err != nil {
		return exitWith(exitEnvironment, err)
	}
	if shards, err = ray.Run(ctx, python, task, log); err != nil && !errors.Is(err, errInterrupted) {
		code := exitInternal
		if failed := new(ray.Error); errors.As(err, &failed) {
			code = failed.Exit
		}
		return exitWith(code, fmt.Errorf("%w\nwhat is done is in %s: the same command goes on", err, folder))
	} else if err != nil {
		return err
	}
	if merged {
		return nil // by an earlier start, whose shards have just been checked
	}
	var dirs []string
	for i := range shards {
		dirs = append(dirs, filepath.Join(folder, fmt.Sprintf("shard-%d", i)))
	}
	_, err = output.Merge(dirs, job.out, output.MergeOptions{Format: job.output, Ordered: job.ordered, PartRows: job.partRows, Command: os.Args})
	return err
}

// rayJob is the command as each task runs it.
func rayJob(c *cli.Context, job *batchJob, folder string, shards int) (ray.Job, error) {
	program, err1 := os.Executable()
	here, err2 := os.Getwd()
	out, err3 := filepath.Abs(folder)
	j := ray.Job{
		Address: c.String("ray"), Shards: shards, Retries: c.Int("ray-retries"),
		Command: append([]string{program, "batch", "--" + flagEndWithStdin, "--lock-wait", shardLockWait.String()}, flagsOfShards(c)...),
		Paths:   job.paths, Out: out, Folder: here, Env: map[string]string{},
	}
	for name, to := range map[string]**float64{"ray-cpus": &j.CPUs, "ray-gpus": &j.GPUs} {
		if c.IsSet(name) {
			v := c.Float64(name)
			*to = &v
		}
	}
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		for _, prefix := range []string{"STEPBENCH_", "VLLM_", "HF_"} {
			if strings.HasPrefix(name, prefix) {
				j.Env[name] = value
			}
		}
	}
	return j, errors.Join(err1, err2, err3)
}

// flagsOfShards are the flags that were given, but for those of the whole.
func flagsOfShards(c *cli.Context) (args []string) {
	own := slices.Clone(ofTheWhole)
	for _, f := range rayFlags() {
		own = append(own, f.Names()[0])
	}
	for _, f := range c.Command.Flags {
		name := f.Names()[0]
		if !c.IsSet(name) || slices.Contains(own, name) {
			continue
		}
		values := []string{fmt.Sprint(c.Value(name))}
		if _, list := f.(*cli.StringSliceFlag); list {
			values = c.StringSlice(name)
		}
		for _, v := range values {
			args = append(args, "--"+name+"="+v)
		}
	}
	return args
}

// earlierShards is how many shards an earlier start made, 0 if there was none.
func earlierShards(folder string) (int, error) {
	found, err := filepath.Glob(filepath.Join(folder, "shard-*", output.ManifestFile))
	if err != nil || len(found) == 0 {
		return 0, err
	}
	m, err := output.ReadManifest(filepath.Dir(found[0]))
	if err != nil || m.Shard == nil {
		return 1, err
	}
	return m.Shard.Count, nil
}

// endWithStdin ends this process when its standard input does: with whoever
// started it, however that ended. What is in the journal stays.
func endWithStdin() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(exitInterrupted)
}
