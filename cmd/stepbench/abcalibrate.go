package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/urfave/cli/v2"

	"stepbench/bench/abtest"
	"stepbench/bench/abtest/archive"
	"stepbench/bench/abtest/calibrations"
	"stepbench/bench/abtest/estimate"
)

// calibrateFrom makes a calibration of launches that are on disk already. A
// comparison that ended early counts with the launches it finished.
func calibrateFrom(c *cli.Context, dirs []string) error {
	var all []*abtest.Evidence
	for _, dir := range dirs {
		_, ev, err := archive.Open(dir)
		if err != nil {
			return exitWith(exitUsage, err)
		}
		if r := abtest.Judge(ev, abtest.Rules{}); ev.Failure != nil || r.Identical == "" || len(ev.Launches) == 0 {
			return exitWith(exitUsage, fmt.Errorf("%s is not a comparison of one build with itself that ended well", dir))
		}
		all = append(all, ev)
	}
	return calibrate(c, all)
}

// calibrate keeps the noise floor of every cell and endpoint over the launches
// of all evidence, and says what it is worth.
func calibrate(c *cli.Context, all []*abtest.Evidence) error {
	first := all[0]
	endpoint := abtest.Judge(first, abtest.Rules{}).Endpoint
	for i, ev := range all[1:] {
		if other := abtest.Judge(ev, abtest.Rules{}).Endpoint; other != endpoint || strings.Join(ev.Cells, " ") != strings.Join(first.Cells, " ") {
			return exitWith(exitUsage, fmt.Errorf("records 1 and %d cannot be joined: %v by %s and %v by %s", i+2, first.Cells, endpoint, ev.Cells, other))
		}
	}
	var failed []error
	for _, cell := range first.Cells {
		for _, of := range []struct {
			endpoint string
			kind     abtest.Kind
		}{{string(endpoint), abtest.Attribution}, {"wall", abtest.Timing}} {
			key := keyOf(first, of.endpoint, cell)
			uuid := first.Launches[0].Info[abtest.ArmA].DeviceUUID
			var launches [][]float64
			for _, ev := range all {
				if other := keyOf(ev, of.endpoint, cell); other != key {
					return exitWith(exitUsage, fmt.Errorf("records of different machines or engines cannot be joined: %+v and %+v", key, other))
				}
				if ev.Launches[0].Info[abtest.ArmA].DeviceUUID != uuid {
					uuid = "" // of several devices
				}
				launches = append(launches, ev.Differences(endpoint, cell, of.kind)...)
			}
			made, err := estimate.Calibrate(key, uuid, launches)
			if err != nil {
				return exitWith(exitInvalid, fmt.Errorf("%s: %w", cell, err))
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
func calibrationLines(w io.Writer, cell string, endpoint string, made *estimate.Calibration, check estimate.SelfCheck, path string) {
	fmt.Fprintf(w, "%s %s: launches differ by %.3f %% sd, on average by %+.3f %% (p = %.2f); %d false alarms in %d comparisons of %d launches\n",
		cell, endpoint, 100*math.Sqrt(made.LaunchVariance), estimate.Percent(check.MeanLog), check.MeanP, check.FalseAlarms, check.Comparisons, standardLaunches)
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
