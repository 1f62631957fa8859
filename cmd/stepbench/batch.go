package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"stepbench/bench/batch"
	"stepbench/bench/batch/input"
	"stepbench/bench/batch/output"
	"stepbench/bench/batch/runner"
	"stepbench/bench/batch/score"
	"stepbench/engine"
)

func batchCommand() *cli.Command {
	return &cli.Command{
		Name:      "batch",
		Usage:     "answer every row of large files, and score the answers",
		ArgsUsage: "IN… OUT",
		Description: `Reads OpenAI Batch JSONL, JSON lines or Parquet (.gz and .zst too, "-" is standard
input), has the model answer every row, and writes the directory OUT: parts in
Parquet, JSON lines or OpenAI Batch form, and batch.json. What is done stays done:
the same command goes on where it was stopped or killed. A row that fails has an
error instead of an answer, and the run goes on; a row whose worker dies twice is
put aside.

stepbench batch merge puts shards together, stepbench batch compare compares two
directories row by row. A file of such a name is given as ./merge.

Metrics, for --metric:
` + score.Help() + `
Exit code: 0 all rows have an answer; 5 some failed; 64 wrong input; 69 the engine
could not be opened, or with --ray no Ray, no cluster or no shared storage; 70 the
engine or a task of Ray kept dying, or results could not be stored; 130
interrupted. With --compare, if all went well or rows failed, the comparison's: 1
worse; 2 not resolved; 3 not comparable; 4 texts differ and there is no metric.

Examples:
   stepbench batch --model smollm2-135m-instruct prompts.jsonl results/a
   stepbench batch --model ./my-model 'data/*.parquet' results/b --prompt-column question --reference-column answer --metric exact,numeric
   stepbench batch --model ./my-model requests.jsonl.gz results/c --output-format openai --ordered
   stepbench batch --model ./my-model --variant mine prompts.jsonl results/d --compare results/a
   stepbench batch --model ./my-model --shard auto prompts.jsonl results/shard-3
   stepbench batch --model ./my-model --ray auto prompts.jsonl results/e`,
		Flags:           slices.Concat(engineFlags(), []cli.Flag{variantsFlag()}, batchFlags(), rayFlags()),
		HideHelpCommand: true, // help is a file's name as good as any
		Subcommands:     []*cli.Command{batchMergeCommand(), batchCompareCommand()},
		OnUsageError:    usageError,
		Action:          batchAction,
	}
}

func batchAction(c *cli.Context) error {
	if c.Bool(flagEndWithStdin) {
		go endWithStdin()
	}
	job, err := newBatchJob(c)
	if err != nil {
		return exitWith(exitUsage, err)
	}
	cfg, err := batchConfig(c)
	if err != nil {
		return exitWith(exitUsage, err)
	}
	ctx, stop := interruptible(c.Context)
	defer stop()
	p := newProgress(c.App.ErrWriter)
	if c.Bool("strict") {
		p.stage("checking every row")
		if err := checkRows(job); err != nil {
			return exitWith(exitUsage, err)
		}
	}
	if c.IsSet("ray") {
		err := batchOnRay(ctx, c, job, p.out)
		return concludeBatch(c, job, true, err)
	}
	source, err := input.Open(job.paths, job.input)
	if err != nil {
		return exitWith(exitUsage, err)
	}
	defer source.Close()
	manifest, err := job.manifest(cfg)
	if err != nil {
		return exitWith(exitUsage, err)
	}
	resumed, finished, err := earlier(job.out)
	if err != nil {
		return exitWith(exitUsage, err)
	}
	store, err := output.Open(job.out, manifest, output.Options{
		LockWait: c.Duration("lock-wait"), Warn: func(m string) { p.stage("%s", m) },
	})
	if err != nil {
		return exitWith(exitUsage, err)
	}
	if resumed {
		p.stage("going on with %s: %d rows are done", job.out, store.DoneCount())
	}
	if finished > 0 && store.DoneCount() >= job.shardRows(finished) {
		err = store.Finish(output.Complete, finished)
	} else {
		err = runBatch(ctx, c, job, cfg, source, store, p)
	}
	p.clear()
	return concludeBatch(c, job, resumed, err)
}

// runBatch opens the tokenizers and runs the job, which finishes the store.
func runBatch(ctx context.Context, c *cli.Context, job *batchJob, cfg engine.Config, source *input.Source, store *output.Store, p *progress) error {
	opt := workerOptions(c, p)
	trusted, _ := cfg.Extra["trust_remote_code"].(bool)
	texts, err := engine.OpenTokenizers(ctx, engine.TokenizerOptions{
		Model: cfg.Model.Path, ChatTemplate: job.template, TrustRemoteCode: trusted, Processes: job.tokenizers, Host: opt.Host, Log: opt.Log,
	})
	if err != nil {
		return errors.Join(err, store.Finish(output.Interrupted, 0))
	}
	defer texts.Close()
	b := newBatchProgress(p)
	return runner.Run(ctx, runner.Job{
		Rows: source, Mine: job.shard.Has, Texts: texts, Callers: job.tokenizers, Store: store, Metrics: job.metrics,
		InputOrder: c.String("order") == orderInput, Concurrency: c.Int("concurrency"),
		Progress: b.update, Log: b.log,
		Open: func(ctx context.Context) (engine.Feeder, error) {
			b.log(fmt.Sprintf("opening %s", cfg.Model.Name))
			start := time.Now()
			e, err := engine.OpenRemote(ctx, cfg, opt)
			if err != nil {
				return nil, err
			}
			info := e.Info()
			if err := sameEngine(job.out, info); err != nil {
				_ = e.Close()
				return nil, exitWith(exitUsage, err)
			}
			b.log(fmt.Sprintf("engine open after %.1f s: vLLM %s on %s", time.Since(start).Seconds(), info.VLLMVersion, info.Device))
			b.begin()
			return e, nil
		},
	})
}

// checkRows reads the whole input and lists what is wrong with it: rows that
// cannot run, and rows that a metric could not score whatever their answer.
func checkRows(job *batchJob) error {
	const most = 20
	rows, wrong, err := input.Strict(job.paths, job.input, most, func(row *batch.Row) error {
		errs := make([]error, len(job.metrics))
		for i, m := range job.metrics {
			errs[i] = m.Check(row)
		}
		return errors.Join(errs...)
	})
	if err != nil {
		return err
	}
	if len(wrong) == 0 {
		return nil
	}
	errs := make([]error, len(wrong))
	for i, w := range wrong {
		errs[i] = w
	}
	return fmt.Errorf("--strict: of %d rows these cannot run or be scored, or the first %d of them:\n%w", rows, most, errors.Join(errs...))
}

// concludeBatch prints the summary of what there is and picks the exit code.
func concludeBatch(c *cli.Context, job *batchJob, resumed bool, cause error) error {
	var chosen *exitError
	switch {
	case errors.Is(cause, errInterrupted):
		return exitWith(exitInterrupted, fmt.Errorf("interrupted: the same command goes on with %s", job.out))
	case errors.As(cause, &chosen):
		return cause
	case errors.Is(cause, engine.ErrEnvironment):
		return exitWith(exitEnvironment, cause)
	case cause != nil:
		return exitWith(exitInternal, fmt.Errorf("%w\nwhat is done is in %s: the same command goes on", cause, job.out))
	}
	m, err := output.ReadManifest(job.out)
	if err != nil {
		return exitWith(exitInternal, err)
	}
	options := score.Options{Key: m.Model}
	for _, metric := range job.metrics {
		options.Metrics = append(options.Metrics, metric.Name())
	}
	if !resumed {
		options.WallS = float64(m.FinishedUnixNs-m.StartedUnixNs) / 1e9
	}
	summary, err := score.Summarize(output.Results(job.out, output.Stored), options)
	if err == nil {
		err = encodeAs(c, summary.Markdown, summary.JSON)
	}
	if err != nil {
		return exitWith(exitInternal, err)
	}
	if before := c.String("compare"); before != "" {
		if err := compareBatches(c, before, job.out); err != nil {
			return err
		}
	}
	if m.Counts.Failed > 0 {
		return exitWith(exitFailedRows, fmt.Errorf("%d of %d rows failed: their results in %s say why", m.Counts.Failed, m.Counts.Done, job.out))
	}
	return nil
}

// shardRows is how many of the input's rows are of the job's shard.
func (job *batchJob) shardRows(all int64) int64 {
	index, count := int64(job.shard.Index), int64(job.shard.Count)
	return (all - index + count - 1) / count
}
