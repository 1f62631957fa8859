package main

import (
	"errors"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"stepbench/bench/figure"
	"stepbench/bench/micro"
	"stepbench/bench/micro/encode"
	"stepbench/bench/trace"
	"stepbench/internal/atomicfile"
)

// deliver writes the results in every form that was asked for.
func deliver(c *cli.Context, job *stepsJob, res *micro.Results) error {
	errs := []error{encode.Encode(c.App.Writer, job.stdout, res)}
	if job.err != "" {
		errs = append(errs, encode.Encode(c.App.ErrWriter, job.err, res))
	}
	if path := c.String("raw"); path != "" {
		errs = append(errs, atomicfile.Write(path, func(w io.Writer) error { return encode.Steps(w, res) }))
	}
	if path := c.String("trace"); path != "" {
		errs = append(errs, atomicfile.Write(path, func(w io.Writer) error { return trace.Write(w, encode.Trace(res)) }))
	}
	if path := c.String("figure"); path != "" {
		errs = append(errs, drawHeatmap(path, encode.Heatmap(res)))
	}
	return errors.Join(errs...)
}

// drawHeatmap writes both forms of the figure; path may end in either suffix.
func drawHeatmap(path string, h figure.Heatmap) error {
	stem := strings.TrimSuffix(strings.TrimSuffix(path, ".png"), ".svg")
	return errors.Join(atomicfile.Write(stem+".png", h.PNG), atomicfile.Write(stem+".svg", h.SVG))
}
