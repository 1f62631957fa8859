package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"stepbench/engine/doctor"
)

const (
	flagPython             = "python"
	flagShim               = "shim"
	flagJSON               = "json"
	flagNoInterpreterCheck = "no-interpreter-check"
)

// hostFlags say which interpreter and shim to use.
func hostFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: flagPython, EnvVars: []string{"STEPBENCH_PYTHON"},
			Usage: "`PATH` of the python executable (default: the nearest .venv)"},
		&cli.StringFlag{Name: flagShim, EnvVars: []string{"STEPBENCH_SHIM"},
			Usage: "`PATH` of libstepbench.so (default: beside this program, or the nearest out folder)"},
	}
}

func doctorCommand() *cli.Command {
	return &cli.Command{
		Name:  "doctor",
		Usage: "check what a run needs, and what would disturb its timing",
		Description: `Checks Python, shim, vLLM and its compiled modules, devices, memory, disk and
clocks without opening an engine, in a few seconds.

Status: ok; warn, a run works but slower or less exactly than it could; fail,
blocks a run; absent, not there or not readable, which is no failure.
Exit code: 0, or 69 if something blocks a run.

Examples:
  stepbench doctor
  stepbench doctor --json | jq '.checks[] | select(.status == "warn")'
  stepbench doctor --python ~/venv/bin/python --no-interpreter-check`,
		Flags: append(hostFlags(),
			&cli.BoolFlag{Name: flagJSON, Usage: "print one JSON object instead of a table"},
			&cli.BoolFlag{Name: flagNoInterpreterCheck,
				Usage: "do not measure whether the embedded interpreter is slower than the python executable (about 3 s)"},
		),
		OnUsageError: usageError,
		Action:       runDoctor,
	}
}

func runDoctor(c *cli.Context) error {
	if c.Args().Present() {
		return exitWith(exitUsage, fmt.Errorf("doctor takes no argument, got %q", c.Args().First()))
	}
	opt := doctor.Options{Python: c.String(flagPython), Shim: c.String(flagShim)}
	if !c.Bool(flagNoInterpreterCheck) {
		exe, err := os.Executable()
		if err != nil {
			return exitWith(exitInternal, fmt.Errorf("find this program: %w", err))
		}
		opt.Probe = []string{exe, "probe"}
	}
	report := doctor.Run(c.Context, opt)
	if err := writeReport(c.App.Writer, c.App.ErrWriter, report, c.Bool(flagJSON)); err != nil {
		return exitWith(exitInternal, fmt.Errorf("write the report: %w", err))
	}
	if !report.OK {
		return exitWith(exitEnvironment, nil)
	}
	return nil
}

// writeReport prints the table with its remedies, or the JSON object, which
// alone goes to stdout: what blocks a run then goes to stderr.
func writeReport(stdout, stderr io.Writer, r doctor.Report, asJSON bool) error {
	if asJSON {
		out := json.NewEncoder(stdout)
		out.SetEscapeHTML(false)
		out.SetIndent("", "  ")
		if err := out.Encode(r); err != nil {
			return err
		}
		_, err := io.WriteString(stderr, remedies(r, doctor.Fail, painter{}))
		return err
	}
	paint := painter{wantsColour(stdout)}
	text := table(r, paint) + "\n" + remedies(r, doctor.Warn, paint) + remedies(r, doctor.Fail, paint) + summary(r)
	_, err := io.WriteString(stdout, text)
	return err
}

// table aligns status, name and value; the detail ends the line.
func table(r doctor.Report, paint painter) string {
	var name, value int
	for _, c := range r.Checks {
		name = max(name, utf8.RuneCountInString(c.Name))
		value = max(value, utf8.RuneCountInString(c.Value))
	}
	var b strings.Builder
	for _, c := range r.Checks {
		line := fmt.Sprintf("  %-*s  %-*s  %s", name, c.Name, value, c.Value, c.Detail)
		fmt.Fprintf(&b, "%s%s\n", paint.status(c.Status), strings.TrimRight(line, " "))
	}
	return b.String()
}

// remedies is one line for each check with that status.
func remedies(r doctor.Report, status doctor.Status, paint painter) string {
	var b strings.Builder
	for _, c := range r.Checks {
		if c.Status == status {
			fmt.Fprintf(&b, "%s  %s (%s): %s\n", paint.status(status), c.Name, c.Value, c.Remedy)
		}
	}
	return b.String()
}

func summary(r doctor.Report) string {
	count := map[doctor.Status]int{}
	for _, c := range r.Checks {
		count[c.Status]++
	}
	verdict := "ready to run"
	if !r.OK {
		verdict = "not ready to run"
	}
	return fmt.Sprintf("%s: %d ok, %d warn, %d fail, %d absent\n", verdict,
		count[doctor.OK], count[doctor.Warn], count[doctor.Fail], count[doctor.Absent])
}

// painter colours statuses on a terminal.
type painter struct{ colour bool }

func (p painter) status(s doctor.Status) string {
	padded := fmt.Sprintf("%-6s", s)
	code := map[doctor.Status]string{doctor.OK: "32", doctor.Warn: "33", doctor.Fail: "31", doctor.Absent: "2"}[s]
	if !p.colour || code == "" {
		return padded
	}
	return "\x1b[" + code + "m" + padded + "\x1b[0m"
}

// wantsColour follows no-color.org.
func wantsColour(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	return err == nil
}
