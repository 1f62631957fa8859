package main

import (
	"errors"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"stepbench/bench/abtest"
	"stepbench/bench/abtest/archive"
	"stepbench/bench/abtest/calibrations"
	"stepbench/bench/abtest/encode"
)

// abOutput is what goes to stdout and stderr.
type abOutput struct{ stdout, stderr encode.Format } // stderr is empty for none

func abFormats(c *cli.Context) (out abOutput, err error) {
	var err1, err2 error
	out.stdout, err1 = oneOf(c, "output", encode.Formats()...)
	out.stderr, err2 = oneOf(c, "output-err", encode.Formats()...)
	return out, errors.Join(err1, err2)
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
