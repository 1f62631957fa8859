package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"stepbench/bench/arrival"
	"stepbench/bench/dataset"
	"stepbench/bench/workload"
)

// workloadFlagSet are the flags that choose requests and when they arrive.
func workloadFlagSet() []cli.Flag {
	d := workload.DefaultFlags()
	return []cli.Flag{
		&cli.StringFlag{Name: "dataset", Value: "random", Usage: "prompts: random, random-short (128 in, 64 out), random-medium (512, 128), c4 (768 or more, 192), a `FILE`, or KIND:FILE with KIND c4, sharegpt, jsonl, parquet, azure, burstgpt, mooncake"},
		&cli.IntFlag{Name: "requests", Value: d.Requests, Usage: "number of requests; of a trace the most that are replayed"},
		&cli.IntFlag{Name: "input-len", Value: d.InputTokens, Usage: "prompt `TOKENS`, of dataset random"},
		&cli.IntFlag{Name: "output-len", Value: d.OutputTokens, Usage: "output `TOKENS`, of dataset random and of files that name none"},
		&cli.StringFlag{Name: "rate", Value: formatRate(d.RatePerS), Usage: "offered `REQ/S`; inf sends everything at once"},
		&cli.StringFlag{Name: "pattern", Value: d.Pattern, Usage: "arrivals: " + patternNames()},
		&cli.IntFlag{Name: "burst-size", Usage: "requests in a group, for pattern burst", DefaultText: strconv.Itoa(arrival.DefaultBurstSize)},
		&cli.Float64Flag{Name: "shape", Usage: "shape of the gaps, for pattern gamma; vLLM calls it burstiness"},
		&cli.DurationFlag{Name: "burst-on", Usage: "length of the bursts, for pattern on-off", DefaultText: "1s"},
		&cli.DurationFlag{Name: "burst-off", Usage: "length of the silences, for pattern on-off", DefaultText: "3s"},
		&cli.BoolFlag{Name: "raw", Usage: "keep the drawn arrivals instead of scaling them to the exact rate"},
		&cli.Float64Flag{Name: "time-scale", Usage: "multiply the times of a trace: 0.5 replays it twice as fast", DefaultText: "1"},
		&cli.IntFlag{Name: "concurrency", Usage: "a closed loop: keep `N` requests in the engine, instead of --rate and --pattern"},
		&cli.BoolFlag{Name: "final-only", Usage: "with --rate inf: requests return at their end alone, as offline generation does; less work a step, and no inter-token latencies"},
		&cli.StringFlag{Name: "slo", Usage: "limits that count as good, as ttft=200ms,tpot=50ms,e2e=3s", DefaultText: "none, and no goodput"},
		&cli.Uint64Flag{Name: "seed", Value: d.Seed, Usage: "of arrivals and prompts"},
	}
}

// workloadFlags reads them.
func workloadFlags(c *cli.Context) (workload.Flags, error) {
	rate, err := parseRate(c.String("rate"))
	if err != nil {
		return workload.Flags{}, err
	}
	slo, err := workload.ParseSLO(c.String("slo"))
	if err != nil {
		return workload.Flags{}, fmt.Errorf("--slo: %w", err)
	}
	if err := conflicts(c); err != nil {
		return workload.Flags{}, err
	}
	return workload.Flags{
		Dataset: c.String("dataset"), Requests: c.Int("requests"),
		InputTokens: c.Int("input-len"), OutputTokens: c.Int("output-len"),
		RatePerS: rate, Pattern: c.String("pattern"), BurstSize: c.Int("burst-size"), Shape: c.Float64("shape"),
		OnS: c.Duration("burst-on").Seconds(), OffS: c.Duration("burst-off").Seconds(), Raw: c.Bool("raw"),
		TimeScale: c.Float64("time-scale"), Concurrency: c.Int("concurrency"), FinalOnly: c.Bool("final-only"), SLO: slo, Seed: c.Uint64("seed"),
	}, nil
}

// conflicts refuses flags that others would leave without effect. A dataset
// that cannot be read is left to workload.Flags.Validate.
func conflicts(c *cli.Context) error {
	if c.IsSet("concurrency") && c.Int("concurrency") < 1 {
		return fmt.Errorf("--concurrency %d: at least 1 is needed", c.Int("concurrency"))
	}
	if c.IsSet("time-scale") && !(c.Float64("time-scale") > 0) {
		return fmt.Errorf("--time-scale %g: must be above 0", c.Float64("time-scale"))
	}
	source, _ := dataset.ParseSource(c.String("dataset"))
	_, fixed := source.Kind.Fixed()
	trace := source.Kind.Trace()
	schedule := []string{"rate", "pattern", "burst-size", "shape", "burst-on", "burst-off", "raw"}
	for _, rule := range []struct {
		holds bool
		what  string
		why   string
		flags []string
	}{
		{c.IsSet("concurrency"), "--concurrency", "a closed loop has no arrival times", schedule},
		{trace, "--dataset " + source.String(), "a trace has arrival times of its own", schedule},
		{fixed || source.Path != "", "--dataset " + source.String(), "it has lengths of its own", []string{"input-len"}},
		{fixed || trace, "--dataset " + source.String(), "it has lengths of its own", []string{"output-len"}},
	} {
		for _, name := range rule.flags {
			if rule.holds && c.IsSet(name) {
				return fmt.Errorf("%s and --%s: %s, leave one out", rule.what, name, rule.why)
			}
		}
	}
	return nil
}

func parseRate(text string) (float64, error) {
	rate, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(rate) {
		return 0, fmt.Errorf("--rate %q is not a number of requests per second, nor inf", text)
	}
	return rate, nil
}

func formatRate(rate float64) string { return strconv.FormatFloat(rate, 'g', -1, 64) }

func patternNames() string {
	var names []string
	for _, p := range arrival.Patterns() {
		names = append(names, string(p))
	}
	return strings.Join(names, ", ")
}
