package estimate

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat/distuv"

	"stepbench/bench/stats"
)

const (
	// CalibrationSchema is the version of Calibration's JSON.
	CalibrationSchema = 1
	// CalibrationLaunches is the fewest launches a calibration is made of.
	CalibrationLaunches = 10
	// planningQuantile: the planning variance is not exceeded by the true one
	// in 80 % of calibrations.
	planningQuantile = 0.20
)

// Calibration is the noise of launches that compare one build with itself, for
// one endpoint and class of cells. Effects are logarithms, variances their
// squares.
//
// With R launches of effects L_k and m quads each, s̄² the mean over launches of
// the variance of a launch's quads, the variance of a launch effect is
//
//	V   = sd(L)²                      observed
//	τ²  = max(0, V - s̄²/m)            between processes, which quads do not average out
//	v_U = V·(R-1)/χ²_{0.20,R-1}       upper 80 % bound, for planning and the claim floor
type Calibration struct {
	SchemaVersion    int       `json:"schema_version"`
	Key              Key       `json:"key"`
	DeviceUUID       string    `json:"device_uuid"`
	LaunchesLog      []float64 `json:"launches_log"`      // L_k
	WithinVariances  []float64 `json:"within_variances"`  // of the quads of launch k
	QuadsPerLaunch   float64   `json:"quads_per_launch"`  // m, the harmonic mean
	WithinVariance   float64   `json:"within_variance"`   // s̄²
	LaunchVariance   float64   `json:"launch_variance"`   // V
	ProcessVariance  float64   `json:"process_variance"`  // τ²
	PlanningVariance float64   `json:"planning_variance"` // v_U
}

// Calibrate makes a calibration of the quad differences of at least
// CalibrationLaunches launches of one build in both arms.
func Calibrate(key Key, deviceUUID string, launches [][]float64) (*Calibration, error) {
	effects, problem := launchEffects(launches)
	if problem != "" {
		return nil, fmt.Errorf("calibrate: %s", problem)
	}
	var within []float64
	inverse := 0.0
	for i, d := range launches {
		sd, ok := stats.SD(d)
		if !ok {
			return nil, fmt.Errorf("calibrate: launch %d has a single quad, its spread needs 2", i+1)
		}
		within = append(within, sd*sd)
		inverse += 1 / float64(len(d))
	}
	return calibration(key, deviceUUID, effects, within, float64(len(launches))/inverse)
}

func calibration(key Key, deviceUUID string, effects, within []float64, quads float64) (*Calibration, error) {
	r := len(effects)
	if r < CalibrationLaunches {
		return nil, fmt.Errorf("calibrate: %d launches are too few for a noise floor, measure at least %d", r, CalibrationLaunches)
	}
	c := &Calibration{
		SchemaVersion: CalibrationSchema, Key: key, DeviceUUID: deviceUUID,
		LaunchesLog: effects, WithinVariances: within, QuadsPerLaunch: quads, WithinVariance: stats.Mean(within),
	}
	sd, _ := stats.SD(effects)
	c.LaunchVariance = sd * sd
	c.ProcessVariance = max(0, c.LaunchVariance-c.WithinVariance/quads)
	c.PlanningVariance = c.LaunchVariance * float64(r-1) / distuv.ChiSquared{K: float64(r - 1)}.Quantile(planningQuantile)
	return c, nil
}

// Validate finds files of another schema and numbers that do not follow from
// the launches beside them.
func (c *Calibration) Validate() error {
	if c.SchemaVersion != CalibrationSchema {
		return fmt.Errorf("calibration: schema %d, want %d: calibrate again", c.SchemaVersion, CalibrationSchema)
	}
	if len(c.WithinVariances) != len(c.LaunchesLog) || !(c.QuadsPerLaunch >= 2) {
		return errors.New("calibration: launches, variances and quads do not belong together: calibrate again")
	}
	want, err := calibration(c.Key, c.DeviceUUID, c.LaunchesLog, c.WithinVariances, c.QuadsPerLaunch)
	if err != nil {
		return err
	}
	for name, pair := range map[string][2]float64{
		"within_variance":   {c.WithinVariance, want.WithinVariance},
		"launch_variance":   {c.LaunchVariance, want.LaunchVariance},
		"process_variance":  {c.ProcessVariance, want.ProcessVariance},
		"planning_variance": {c.PlanningVariance, want.PlanningVariance},
	} {
		if !(math.Abs(pair[0]-pair[1]) <= 1e-6*want.PlanningVariance) {
			return fmt.Errorf("calibration: %s is %g, its launches give %g: the file was changed, calibrate again", name, pair[0], pair[1])
		}
	}
	return nil
}

// Variance bounds the variance of the effect of a launch of m quads:
// v_U + s̄²(1/m - 1/m_cal), kept within what is possible at all. That is
// v_U·m_cal/m if quads were the only noise and v_U if processes were; s̄², which
// a few wild quads inflate far beyond their weight in a Hodges-Lehmann centre,
// would otherwise leave that range.
func (c *Calibration) Variance(quads float64) float64 {
	ratio := c.QuadsPerLaunch / quads
	v := c.PlanningVariance + c.WithinVariance*(1/quads-1/c.QuadsPerLaunch)
	return min(max(v, c.PlanningVariance*min(1, ratio)), c.PlanningVariance*max(1, ratio))
}

// FloorLog is the claim floor F = 1.96·√(v/K) for K launches: no smaller effect
// is called FASTER or SLOWER.
func (c *Calibration) FloorLog(launches, quads int) float64 {
	return floorLog(c.Variance(float64(quads)), launches)
}

// MDE80Log is the smallest effect that such a run tells from none at alpha in
// 80 % of cases: (t_{1-α/2,K-1} + t_{0.80,K-1})·√(v/K).
func (c *Calibration) MDE80Log(alpha float64, launches, quads int) float64 {
	return mde80Log(c.Variance(float64(quads)), alpha, launches)
}

// noise is what a verdict needs of a calibration.
type noise struct {
	variance float64 // bound on that of a launch effect, at the run's quads
	launches int     // R, that it was estimated from
}

// noise is c at the quads of these launches, nil without calibration.
func (c *Calibration) noise(launches [][]float64) *noise {
	if c == nil {
		return nil
	}
	inverse := 0.0
	for _, d := range launches {
		inverse += 1 / float64(len(d))
	}
	return &noise{c.Variance(float64(len(launches)) / inverse), len(c.LaunchesLog)}
}

// exceededBy tells whether the variance of k launch effects is too large for
// the calibration still to hold: beyond the 99 % quantile of
// v_U·F_{k-1,R-1}.
func (n *noise) exceededBy(variance float64, k int) bool {
	return variance > n.variance*distuv.F{D1: float64(k - 1), D2: float64(n.launches - 1)}.Quantile(0.99)
}
