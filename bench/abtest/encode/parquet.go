package encode

import (
	"fmt"
	"io"
	"strconv"

	"stepbench/bench/abtest"
	"stepbench/bench/abtest/archive"
	"stepbench/internal/parquetfile"
)

// burstRow is a row of the table of bursts.
type burstRow struct {
	Launch   int32  `parquet:"launch" unit:"number, from 1"`
	Cell     string `parquet:"cell,dict" unit:"shape"`
	Kind     string `parquet:"kind,dict" unit:"timing or attribution"`
	Quad     int32  `parquet:"quad" unit:"number, from 1; 0: warm-up"`
	Position int32  `parquet:"position" unit:"in the quad, 1 to 4"`
	Arm      string `parquet:"arm,dict" unit:"A or B"`
	Variant  string `parquet:"variant,dict" unit:"name"`

	PlannedSteps int32  `parquet:"planned_steps" unit:"steps"`
	Steps        int32  `parquet:"steps" unit:"steps that count"`
	Drop         string `parquet:"drop,optional,dict" unit:"why the burst does not count"`
	QuadDrop     string `parquet:"quad_drop,optional,dict" unit:"why its quad does not count"`

	StartNs    int64    `parquet:"start_monotonic_ns" unit:"ns, CLOCK_MONOTONIC"`
	EndNs      int64    `parquet:"end_monotonic_ns" unit:"ns, CLOCK_MONOTONIC"`
	WallNs     float64  `parquet:"wall_ns" unit:"ns, median step"`
	BridgeNs   float64  `parquet:"bridge_ns" unit:"ns, median step"`
	SumNs      *float64 `parquet:"sum_ns,optional" unit:"ns per step, kernels or ops"`
	BusyNs     *float64 `parquet:"busy_ns,optional" unit:"ns per step, union of their intervals"`
	GapNs      *float64 `parquet:"gap_ns,optional" unit:"ns per step, between them"`
	EndpointNs *float64 `parquet:"endpoint_ns,optional" unit:"ns per step, what the verdict rests on"`

	ContextMin int32  `parquet:"context_min" unit:"tokens"`
	ContextMax int32  `parquet:"context_max" unit:"tokens"`
	ShapesHash uint64 `parquet:"shapes_hash" unit:"hash of the steps' composition"`
	TokensHash uint64 `parquet:"tokens_hash" unit:"hash of all output tokens"`
}

// bursts writes every burst that was played, counted or not.
func bursts(w io.Writer, c *Comparison) error {
	var rows []burstRow
	dropped := quadDrops(c)
	for i := range c.Evidence.Launches {
		l := &c.Evidence.Launches[i]
		for k := range l.Bursts {
			b := &l.Bursts[k]
			row := burstRow{
				Launch: int32(l.Number), Cell: b.Cell, Kind: string(b.Kind), Quad: int32(b.Quad), Position: int32(b.Position),
				Arm: b.Arm.String(), Variant: c.Evidence.Sides[b.Arm].Name,
				PlannedSteps: int32(b.Planned), Steps: int32(b.Steps), Drop: b.Drop,
				QuadDrop: dropped[quadKey{l.Number, b.Cell, b.Kind, b.Quad}],
				StartNs:  b.StartNs, EndNs: b.EndNs, WallNs: b.WallNs, BridgeNs: b.BridgeNs,
				ContextMin: int32(b.ContextMin), ContextMax: int32(b.ContextMax), ShapesHash: b.Shapes, TokensHash: b.Tokens,
			}
			if ns, ok := c.Result.Endpoint.Of(b); ok {
				row.SumNs, row.BusyNs, row.GapNs, row.EndpointNs = &b.Profile.SumNs, &b.Profile.BusyNs, &b.Profile.GapNs, &ns
			}
			rows = append(rows, row)
		}
	}
	return writeParquet(w, rows, c)
}

type quadKey struct {
	launch int
	cell   string
	kind   abtest.Kind
	quad   int
}

func quadDrops(c *Comparison) map[quadKey]string {
	all := map[quadKey]string{}
	for _, cell := range c.Evidence.Cells {
		for _, kind := range []abtest.Kind{abtest.Timing, abtest.Attribution} {
			for _, s := range c.Evidence.Series(c.Result.Endpoint, cell, kind) {
				for _, q := range s.Quads {
					all[quadKey{s.Launch, cell, kind, q.Quad}] = q.Drop
				}
			}
		}
	}
	return all
}

// kernelRow is a row of the table of kernels or ops, by burst.
type kernelRow struct {
	Launch       int32   `parquet:"launch" unit:"number, from 1"`
	Cell         string  `parquet:"cell,dict" unit:"shape"`
	Quad         int32   `parquet:"quad" unit:"number, from 1; 0: warm-up"`
	Position     int32   `parquet:"position" unit:"in the quad, 1 to 4"`
	Arm          string  `parquet:"arm,dict" unit:"A or B"`
	Name         string  `parquet:"name,dict" unit:"name"`
	Copy         bool    `parquet:"copy" unit:"a memory copy or set"`
	Calls        float64 `parquet:"calls" unit:"calls per step"`
	Ns           float64 `parquet:"ns" unit:"ns per step"`
	MedianCallNs float64 `parquet:"median_call_ns" unit:"ns, median call"`
	EndpointNs   float64 `parquet:"endpoint_ns" unit:"ns per step, what it adds to the endpoint"`
}

// Kernels writes what the profiler saw in every attribution burst, a row per
// kernel or op, as Parquet.
func Kernels(w io.Writer, c *Comparison) error {
	var rows []kernelRow
	for i := range c.Evidence.Launches {
		l := &c.Evidence.Launches[i]
		for k := range l.Bursts {
			b := &l.Bursts[k]
			if b.Profile == nil {
				continue
			}
			for n := range b.Profile.Rows {
				r := &b.Profile.Rows[n]
				rows = append(rows, kernelRow{
					Launch: int32(l.Number), Cell: b.Cell, Quad: int32(b.Quad), Position: int32(b.Position), Arm: b.Arm.String(),
					Name: r.Name, Copy: r.Copy, Calls: r.Calls, Ns: r.Ns, MedianCallNs: r.MedianNs, EndpointNs: c.Result.Endpoint.OfRow(r),
				})
			}
		}
	}
	if err := writeParquet(w, rows, c); err != nil {
		return fmt.Errorf("write kernels: %w", err)
	}
	return nil
}

// writeParquet writes rows with their units.
func writeParquet[T any](w io.Writer, rows []T, c *Comparison) error {
	return parquetfile.Write(w, rows, map[string]string{
		"schema_version": strconv.Itoa(SchemaVersion), "method": Method, "method_version": strconv.Itoa(archive.MethodVersion),
		"endpoint": string(c.Result.Endpoint),
	})
}
