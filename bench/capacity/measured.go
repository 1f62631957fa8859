package capacity

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"

	"stepbench/engine"
)

// Cell is what one line of `stepbench steps -o jsonl` says of a step on one device.
type Cell struct {
	Model string
	Shape
	WallS float64 // median
	BusyS float64 // of the device
}

const maxLine = 16 << 20

// ReadCells reads lines of `stepbench steps -o jsonl`: whole prefills and decodes
// whose time on the device is known. Others are skipped; to have none left is an
// error, as is a line that is not such.
func ReadCells(r io.Reader) ([]Cell, error) {
	var cells []Cell
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for n := 1; lines.Scan(); n++ {
		if len(lines.Bytes()) == 0 {
			continue
		}
		var row struct {
			Model   string `json:"model"`
			Phase   string `json:"phase"`
			Batch   int    `json:"batch"`
			Context int    `json:"context"`
			Chunk   int    `json:"chunk"`
			Wall    *struct {
				Median float64 `json:"median"`
			} `json:"wall_us"`
			Busy *float64 `json:"device_busy_us"`
		}
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if row.Model == "" || row.Phase == "" {
			return nil, fmt.Errorf("line %d has no model and phase: give the output of stepbench steps -o jsonl", n)
		}
		if row.Wall == nil || row.Busy == nil || row.Chunk != 0 || !(*row.Busy > 0) || !(row.Wall.Median >= *row.Busy) || row.Batch < 1 || row.Context < 1 {
			continue
		}
		c := Cell{Model: row.Model, Shape: Shape{row.Batch, 1, row.Context}, WallS: row.Wall.Median / 1e6, BusyS: *row.Busy / 1e6}
		switch row.Phase {
		case "prefill":
			c.Query = row.Context
		case "decode":
		default:
			continue
		}
		cells = append(cells, c)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(cells) == 0 {
		return nil, errors.New("no line has the device's time of a decode or a whole prefill: stepbench steps measures it on a GPU, without --no-attribution")
	}
	return cells, nil
}

// Measured are figures of one device.
type Measured struct {
	Device          Device
	decode, prefill phase
}

// phase is what the steps of one phase say. The kernels of a step are taken to need
//
//	busy = layers · floor + ideal / efficiency
//
// with the two that fit best, by least squares of relative errors; spread are the
// extremes of measured over fitted, so that the range is as wide as the fit is bad.
type phase struct {
	floorS, perIdeal float64 // seconds a layer; 1/efficiency
	spread           [2]float64
	points           []point
}

// point is a cell as an estimate uses it.
type point struct {
	tokens, layers float64
	idealS, busyS  float64
	hostS          float64 // of the step, in which the device waits
}

// NewMeasured relates cells to the roofline of the device that they were measured
// on. Models are those of the cells, by name.
func NewMeasured(cells []Cell, d Device, element int, models map[string]*engine.ModelShape) (*Measured, error) {
	if d.BytesPerS == 0 || d.FLOPPerS == 0 {
		return nil, fmt.Errorf("the bandwidth and FLOP/s of device %s are not known, so measured times give no efficiency: say where they were measured", d.Name)
	}
	m := &Measured{Device: d}
	one := Layout{1, 1}
	for _, c := range cells {
		s := models[c.Model]
		if s == nil {
			return nil, fmt.Errorf("the shape of model %q, whose steps were measured, is not known", c.Model)
		}
		p := m.of(c.Shape)
		p.points = append(p.points, point{c.tokens(), float64(s.Layers), one.ideal(s, d, element, 0, c.Shape), c.BusyS, c.WallS - c.BusyS})
	}
	m.decode.fit()
	m.prefill.fit()
	return m, nil
}

func (m *Measured) of(x Shape) *phase {
	if x.Query == 1 {
		return &m.decode
	}
	return &m.prefill
}

// fit minimises the sum of ((layers·floor + ideal·perIdeal)/busy − 1)². Where that
// makes one of the two negative, the other alone is fitted: points of one model
// that are all alike cannot tell them apart.
func (p *phase) fit() {
	var aa, ab, bb, a, b float64
	for _, x := range p.points {
		u, v := x.layers/x.busyS, x.idealS/x.busyS
		aa, ab, bb, a, b = aa+u*u, ab+u*v, bb+v*v, a+u, b+v
	}
	if det := aa*bb - ab*ab; det > 1e-9*aa*bb {
		p.floorS, p.perIdeal = (a*bb-b*ab)/det, (b*aa-a*ab)/det
	}
	if !(p.floorS >= 0 && p.perIdeal > 0) {
		p.floorS, p.perIdeal = 0, b/bb
	}
	p.spread = [2]float64{math.Inf(1), 0}
	for _, x := range p.points {
		ratio := x.busyS / p.busy(x.layers, x.idealS)
		p.spread = [2]float64{min(p.spread[0], ratio), max(p.spread[1], ratio)}
	}
}

func (p *phase) busy(layers, idealS float64) float64 { return layers*p.floorS + idealS*p.perIdeal }

// host gives the extremes of the host's part in steps of as many tokens, and in
// those of the next fewer and the next more.
func (p *phase) host(tokens float64) (least, most float64) {
	below, above := math.Inf(-1), math.Inf(1)
	for _, x := range p.points {
		if x.tokens < tokens {
			below = max(below, x.tokens)
		}
		if x.tokens > tokens {
			above = min(above, x.tokens)
		}
	}
	least = math.Inf(1)
	for _, x := range p.points {
		if x.tokens >= below && x.tokens <= above {
			least, most = min(least, x.hostS), max(most, x.hostS)
		}
	}
	return least, most
}
