package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"

	"github.com/urfave/cli/v2"

	"stepbench/bench/batch"
	"stepbench/bench/batch/input"
	"stepbench/bench/batch/output"
	"stepbench/bench/batch/score"
	"stepbench/bench/batch/shard"
	"stepbench/build"
	"stepbench/engine"
)

const (
	orderLength = "length"
	orderInput  = "input"

	asyncScheduling = "async_scheduling" // the field of EngineArgs
)

func batchFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "variant", Value: engine.Stock, Usage: "kernels that stepbench build made, by `NAME`"},
		&cli.BoolFlag{Name: "no-prefix-caching", Usage: "do not keep the KV cache of prompts that begin alike"},

		&cli.StringFlag{Name: "format", Usage: "of the input: openai, jsonl, parquet", DefaultText: "found out from each file"},
		&cli.StringFlag{Name: "prompt-column", Usage: "`COLUMN` of text", DefaultText: "prompt, or text"},
		&cli.StringFlag{Name: "messages-column", Usage: "`COLUMN` of chats in OpenAI's form", DefaultText: "messages"},
		&cli.StringFlag{Name: "tokens-column", Usage: "`COLUMN` of token ids", DefaultText: "tokens"},
		&cli.StringFlag{Name: "id-column", Usage: "`COLUMN` that names a row", DefaultText: "id, where there is one"},
		&cli.StringFlag{Name: "reference-column", Usage: "`COLUMN` that answers are compared with"},
		&cli.StringFlag{Name: "options-column", Usage: "`COLUMN` with a multiple choice's options, which are scored, not generated"},
		&cli.StringFlag{Name: "answer-column", Usage: "`COLUMN` with the right option's index, from 0"},
		&cli.StringFlag{Name: "group-column", Usage: "`COLUMN` whose values are also scored apart"},
		&cli.StringFlag{Name: "shard", Usage: "answer rows `I/N` of the input alone, I from 0, or auto for what a scheduler says"},
		&cli.BoolFlag{Name: "strict", Usage: "stop before the engine starts if a row cannot run or, for a metric, lacks a reference it can use"},

		&cli.DurationFlag{Name: "lock-wait", Usage: "wait `TIME` for another process that writes to OUT"},
		&cli.BoolFlag{Name: flagEndWithStdin, Hidden: true},

		&cli.StringFlag{Name: "output-format", Value: string(output.Parquet), Usage: "parquet, jsonl, openai"},
		&cli.BoolFlag{Name: "ordered", Usage: "in the end one file, in the input's order"},
		&cli.Int64Flag{Name: "part-rows", Value: 50_000, Usage: "most `ROWS` of a part"},

		&cli.StringFlag{Name: "order", Value: orderLength, Usage: "of work: length (among some thousand prompts those that begin alike together, long answers and prompts first) or input"},
		&cli.IntFlag{Name: "tokenizers", Usage: "`PROCESSES` that turn text into tokens and back", DefaultText: "half the CPUs, at most 8"},
		&cli.IntFlag{Name: "concurrency", Usage: "most `REQUESTS` in the engine and waiting for it", DefaultText: "twice what a step takes, or 256 more"},

		&cli.IntFlag{Name: "max-tokens", Usage: "of output, where a row does not say", DefaultText: "16; for a chat what the context leaves"},
		&cli.Float64Flag{Name: "temperature", Usage: "where a row does not say; 0 is greedy"},
		&cli.Float64Flag{Name: "top-p", Value: 1, Usage: "where a row does not say"},
		&cli.Int64Flag{Name: "seed", Usage: "of sampling, where a row does not say", DefaultText: "none"},
		&cli.StringSliceFlag{Name: "stop", Usage: "`TEXT` that ends an answer, where a row does not say; may repeat", KeepSpace: true},
		&cli.IntFlag{Name: "n", Value: 1, Usage: "answers to a row, where it does not say"},
		&cli.IntFlag{Name: "logprobs", Usage: "keep logprobs of the output, with the `K` likeliest tokens", DefaultText: "none"},
		&cli.IntFlag{Name: "prompt-logprobs", Usage: "keep logprobs of the prompt, with the `K` likeliest tokens", DefaultText: "none"},
		&cli.BoolFlag{Name: "ignore-eos", Usage: "go on to --max-tokens"},
		&cli.StringFlag{Name: "chat-template", Usage: "Jinja `FILE`", DefaultText: "the tokenizer's own"},

		&cli.StringSliceFlag{Name: "metric", Usage: "score of each row, see above; may repeat"},
		&cli.StringFlag{Name: "compare", Usage: "compare with the run in `DIR`, row by row"},
		changedFlag(),
		outputFlag(),
	}
}

func outputFlag() cli.Flag {
	return &cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "md", Usage: "of the summary on stdout: md, json"}
}

// batchJob is what a command line asks for.
type batchJob struct {
	paths      []string
	out        string
	input      input.Options
	output     output.Format
	shard      shard.Shard
	metrics    []score.Metric
	specs      []string
	template   string
	tokenizers int
	partRows   int64
	ordered    bool
}

func newBatchJob(c *cli.Context) (*batchJob, error) {
	args := c.Args().Slice()
	if len(args) < 2 {
		return nil, fmt.Errorf("batch takes input files and an output directory, got %d arguments: stepbench batch --model M IN… OUT", len(args))
	}
	job := &batchJob{
		paths: args[:len(args)-1], out: args[len(args)-1], output: output.Format(c.String("output-format")),
		tokenizers: c.Int("tokenizers"), partRows: c.Int64("part-rows"), ordered: c.Bool("ordered"),
	}
	if job.tokenizers == 0 {
		job.tokenizers = min(max(runtime.NumCPU()/2, 1), 8)
	}
	sampling, err1 := samplingFlags(c)
	job.input = input.Options{
		Format:       input.Format(c.String("format")),
		PromptColumn: c.String("prompt-column"), MessagesColumn: c.String("messages-column"), TokensColumn: c.String("tokens-column"),
		IDColumn: c.String("id-column"), ReferenceColumn: c.String("reference-column"), OptionsColumn: c.String("options-column"),
		AnswerColumn: c.String("answer-column"), GroupColumn: c.String("group-column"), Sampling: sampling, N: c.Int("n"),
	}
	var err2, err3, err4 error
	if job.shard, err2 = shard.Parse(c.String("shard"), os.Getenv); err2 != nil {
		err2 = fmt.Errorf("--shard: %w", err2)
	}
	if job.metrics, err3 = score.ParseMetrics(c.StringSlice("metric")...); err3 != nil {
		err3 = fmt.Errorf("--metric: %w", err3)
	}
	if path := c.String("chat-template"); path != "" {
		text, err := os.ReadFile(path)
		job.template, err4 = string(text), err
		if err != nil {
			err4 = fmt.Errorf("--chat-template: %w", err)
		}
	}
	for _, m := range job.metrics {
		job.specs = append(job.specs, m.Spec())
	}
	return job, errors.Join(err1, err2, err3, err4, job.check(c), job.checkMetrics(), checkRay(c, job))
}

func (job *batchJob) check(c *cli.Context) error {
	_, err1 := oneOf(c, "order", orderLength, orderInput)
	_, err2 := oneOf(c, "output", summaryFormats...)
	_, err3 := oneOf(c, "output-format", output.Parquet, output.JSONL, output.OpenAI)
	_, err4 := oneOf(c, "format", input.OpenAI, input.JSONL, input.Parquet)
	errs := []error{err1, err2, err3, err4}
	for _, name := range []string{"part-rows", "n"} {
		if c.Int64(name) < 1 {
			errs = append(errs, fmt.Errorf("--%s %d: at least 1 is needed", name, c.Int64(name)))
		}
	}
	for _, name := range []string{"tokenizers", "concurrency", "max-tokens", "logprobs", "prompt-logprobs"} {
		if c.Int64(name) < 0 {
			errs = append(errs, fmt.Errorf("--%s %d is negative", name, c.Int64(name)))
		}
	}
	if slices.Contains(job.paths, job.out) {
		errs = append(errs, fmt.Errorf("%s is both input and output: the last argument is the output directory", job.out))
	}
	if before := c.String("compare"); before != "" {
		_, err := output.ReadManifest(before)
		if err != nil {
			err = fmt.Errorf("--compare: %w", err)
		}
		errs = append(errs, err)
	} else if c.String("changed") != "" {
		errs = append(errs, errors.New("--changed needs --compare"))
	}
	return errors.Join(errs...)
}

// checkMetrics refuses metrics of columns that nobody named.
func (job *batchJob) checkMetrics() error {
	var errs []error
	choice := batch.Row{Options: []string{"a", "b"}}
	for _, m := range job.metrics {
		ofChoice := m.Check(&choice) == nil && m.Check(&batch.Row{}) != nil
		switch {
		case ofChoice && (job.input.OptionsColumn == "" || job.input.AnswerColumn == ""):
			errs = append(errs, fmt.Errorf("--metric %s needs --options-column and --answer-column", m.Spec()))
		case !ofChoice && job.input.ReferenceColumn == "" && m.Check(&batch.Row{}) != nil:
			errs = append(errs, fmt.Errorf("--metric %s needs --reference-column", m.Spec()))
		}
	}
	return errors.Join(errs...)
}

func samplingFlags(c *cli.Context) (engine.Sampling, error) {
	s := engine.Sampling{
		MaxTokens: c.Int("max-tokens"), Temperature: c.Float64("temperature"), Stop: c.StringSlice("stop"), IgnoreEOS: c.Bool("ignore-eos"),
	}
	if c.IsSet("seed") {
		seed := c.Int64("seed")
		s.Seed = &seed
	}
	for name, to := range map[string]**int{"logprobs": &s.Logprobs, "prompt-logprobs": &s.PromptLogprobs} {
		if c.IsSet(name) {
			k := c.Int(name)
			*to = &k
		}
	}
	var errs []error
	if !(s.Temperature >= 0 && s.Temperature <= 2) {
		errs = append(errs, fmt.Errorf("--temperature %g is not between 0 and 2", s.Temperature))
	}
	if p := c.Float64("top-p"); !(p > 0 && p <= 1) {
		errs = append(errs, fmt.Errorf("--top-p %g is not above 0 and at most 1", p))
	} else if p < 1 {
		s.TopP = p
	}
	return s, errors.Join(errs...)
}

// batchConfig is an engine made for throughput.
func batchConfig(c *cli.Context) (engine.Config, error) {
	var none engine.Config
	if !c.IsSet("model") {
		return none, errors.New("no --model given: a model folder, a hub name, or a preset, whose answers mean nothing")
	}
	if !slices.Contains(engine.HostModes, engine.HostMode(c.String("host"))) {
		return none, fmt.Errorf("--host %q is none of %v", c.String("host"), engine.HostModes)
	}
	cfg, err := engineConfig(c)
	if err != nil {
		return none, err
	}
	cfg.SkipTokenizer = false // rows may have stop strings
	cfg.PrefixCaching = !c.Bool("no-prefix-caching")
	if _, said := cfg.Extra[asyncScheduling]; !said && hasNVIDIA() {
		cfg.Extra[asyncScheduling] = true // nobody looks at single steps here
	}
	if name := c.String("variant"); name != engine.Stock {
		if cfg.Variant, err = (build.Store{Dir: c.String(flagVariants)}).Variant(name); err != nil {
			return none, fmt.Errorf("--variant: %w", err)
		}
	}
	return cfg, nil
}
