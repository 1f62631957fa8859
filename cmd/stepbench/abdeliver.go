package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"stepbench/bench/abtest"
	"stepbench/bench/abtest/archive"
	"stepbench/bench/abtest/calibrations"
	"stepbench/bench/abtest/encode"
	"stepbench/bench/abtest/estimate"
	"stepbench/bench/micro"
)

// abOutput is what goes to stdout and stderr.
type abOutput struct{ stdout, stderr encode.Format } // stderr is empty for none

func abFormats(c *cli.Context) (out abOutput, err error) {
	if out.stdout, err = encode.ParseFormat("--output", c.String("output")); err != nil {
		return out, err
	}
	if name := c.String("output-err"); name != "" {
		out.stderr, err = encode.ParseFormat("--output-err", name)
	}
	return out, err
}

func abFormatNames() string {
	var names []string
	for _, f := range encode.Formats() {
		names = append(names, string(f))
	}
	return strings.Join(names, ", ")
}

func (out abOutput) write(c *cli.Context, report *encode.Comparison) error {
	err := encode.Encode(c.App.Writer, out.stdout, report)
	if out.stderr != "" {
		err = errors.Join(err, encode.Encode(c.App.ErrWriter, out.stderr, report))
	}
	return err
}

func (ab *comparison) report(ev *abtest.Evidence, r *abtest.Result) *encode.Comparison {
	return &encode.Comparison{Evidence: ev, Result: r, Command: strings.Join(os.Args, " "), Version: version}
}

// keepReports writes the forms that people read or other programs load.
func keepReports(dir *archive.Directory, report *encode.Comparison) error {
	return errors.Join(
		dir.Write("report.md", func(w io.Writer) error { return encode.Encode(w, encode.Markdown, report) }),
		dir.Write("report.html", func(w io.Writer) error { return encode.Encode(w, encode.HTML, report) }),
		dir.Write("bursts.parquet", func(w io.Writer) error { return encode.Encode(w, encode.Parquet, report) }),
	)
}

// judgeAgain gives the verdict on the records of an earlier comparison.
func judgeAgain(c *cli.Context, path string, out abOutput) error {
	m, ev, err := archive.Open(path)
	if err != nil {
		return exitWith(exitUsage, err)
	}
	floors, err := calibrations.Load(c.String("calibrations"))
	if err != nil {
		return exitWith(exitUsage, err)
	}
	ab := &comparison{floors: floors, rules: abtest.Rules{AllowNumericChange: c.Bool("allow-numeric-change")}}
	r := ab.judge(ev)
	report := ab.report(ev, r)
	report.Command, report.Version = strings.Join(m.Args, " "), m.Tool.Version
	if err := out.write(c, report); err != nil {
		return exitWith(exitInternal, err)
	}
	return exitWith(r.ExitCode, nil)
}

// calibrate keeps the noise floor of every cell and endpoint, and says what it
// is worth.
func (ab *comparison) calibrate(c *cli.Context, ev *abtest.Evidence, r *abtest.Result) error {
	if r.Verdict == estimate.Invalid || ev.Interrupted || ev.TimeUp {
		return exitWith(exitInvalid, fmt.Errorf("no calibration: %s", cmp.Or(r.Reason, "the plan was not finished")))
	}
	uuid := ev.Launches[0].Info[abtest.ArmA].DeviceUUID
	var failed []error
	for _, cell := range ab.job.Cells {
		for _, of := range []struct {
			endpoint string
			kind     abtest.Kind
		}{{string(r.Endpoint), abtest.Attribution}, {"wall", abtest.Timing}} {
			launches := ev.Differences(r.Endpoint, cell.Name(), of.kind)
			made, err := estimate.Calibrate(keyOf(ev, of.endpoint, cell.Name()), uuid, launches)
			if err != nil {
				return exitWith(exitInvalid, fmt.Errorf("%s: %w", cell.Name(), err))
			}
			path, err := calibrations.Save(c.String("calibrations"), made)
			if err != nil {
				return exitWith(exitInternal, err)
			}
			check := made.SelfCheck(standardLaunches)
			if of.kind == abtest.Attribution { // no verdict rests on wall time alone
				failed = append(failed, check.Err())
			}
			calibrationLines(c.App.Writer, cell, of.endpoint, made, check, path)
		}
	}
	if err := errors.Join(failed...); err != nil {
		return exitWith(exitInvalid, err)
	}
	return nil
}

// standardLaunches are those of a comparison whose false alarms are counted.
const standardLaunches = 4

// calibrationLines say what the plans can tell apart at this noise.
func calibrationLines(w io.Writer, cell micro.Cell, endpoint string, made *estimate.Calibration, check estimate.SelfCheck, path string) {
	fmt.Fprintf(w, "%s %s: launches differ by %.3f %% sd, on average by %+.3f %% (p = %.2f); %d false alarms in %d comparisons of %d launches\n",
		cell.Name(), endpoint, 100*math.Sqrt(made.LaunchVariance), estimate.Percent(check.MeanLog), check.MeanP, check.FalseAlarms, check.Comparisons, standardLaunches)
	fmt.Fprintf(w, "  noise floor in %s\n", path)
	for _, p := range estimate.Plans() {
		look, quads := p.Looks[len(p.Looks)-1], p.AttributionQuads
		if endpoint == "wall" {
			quads = p.TimingQuads
		}
		fmt.Fprintf(w, "  plan %-10s claims no change below %.3f %%, finds %.3f %% in 80 %% of runs\n", p.Name,
			estimate.Percent(made.FloorLog(look.Launches, quads)), estimate.Percent(made.MDE80Log(look.Alpha, look.Launches, quads)))
	}
}
