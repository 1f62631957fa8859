package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"stepbench/bench/figure"
	"stepbench/bench/micro"
	"stepbench/bench/micro/encode"
	"stepbench/bench/trace"
)

// deliver writes the results in every form that was asked for.
func deliver(c *cli.Context, job *stepsJob, res *micro.Results) error {
	errs := []error{encode.Encode(c.App.Writer, job.stdout, res)}
	if job.err != "" {
		errs = append(errs, encode.Encode(c.App.ErrWriter, job.err, res))
	}
	if path := c.String("raw"); path != "" {
		errs = append(errs, writeFile(path, func(w io.Writer) error { return encode.Steps(w, res) }))
	}
	if path := c.String("trace"); path != "" {
		errs = append(errs, writeFile(path, func(w io.Writer) error { return trace.Write(w, encode.Trace(res)) }))
	}
	if path := c.String("figure"); path != "" {
		errs = append(errs, drawHeatmap(path, encode.Heatmap(res)))
	}
	return errors.Join(errs...)
}

// writeFile writes to a temporary name first, so that a half-written file never
// passes for a whole one.
func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".stepbench-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := errors.Join(write(f), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Chmod(f.Name(), 0o644); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// drawHeatmap writes both forms of the figure; path may end in either suffix.
func drawHeatmap(path string, h figure.Heatmap) error {
	stem := strings.TrimSuffix(strings.TrimSuffix(path, ".png"), ".svg")
	return errors.Join(writeFile(stem+".png", h.PNG), writeFile(stem+".svg", h.SVG))
}
