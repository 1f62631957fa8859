package estimate

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stepbench/internal/golden"
)

// chi is (R-1)/χ²_{0.20,R-1} at R = 10.
const chi = 9 / 5.380053

func testKey() Key {
	return Key{Device: "NVIDIA H200", DriverMajor: 570, MemoryBytes: 150754820096, PowerLimitWatts: 700,
		VLLMVersion: "0.26.0", Model: "llama-2-7b:8", CellClass: "8q1s1k", Endpoint: "kern"}
}

// alternating are ten launches of quads v ± within, two each, whose effects v
// are ±a in turn: mean 0, variance 10a²/9, within launches 2·within².
func alternating(a, within float64) [][]float64 {
	launches := make([][]float64, 10)
	for i := range launches {
		launches[i] = []float64{a - within, a + within}
		a = -a
	}
	return launches
}

// calibrationOf has a planning variance of v, all of it between processes.
func calibrationOf(t *testing.T, v float64) *Calibration {
	t.Helper()
	c, err := Calibrate(testKey(), "GPU-1", alternating(math.Sqrt(0.9*v/chi), 0))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCalibrate(t *testing.T) {
	c, err := Calibrate(testKey(), "GPU-1", alternating(0.003, 0.001))
	if err != nil {
		t.Fatal(err)
	}
	v := 1e-5 // 10·9e-6/9
	got := []float64{c.QuadsPerLaunch, c.WithinVariance, c.LaunchVariance, c.ProcessVariance, c.PlanningVariance}
	if diff := cmp.Diff([]float64{2, 2e-6, v, v - 1e-6, chi * v}, got, near); diff != "" {
		t.Errorf("quads, s̄², V, τ², v_U (-want +got):\n%s", diff)
	}
	// At 4 quads a launch: v_U + s̄²(1/4 - 1/2).
	if got, want := c.Variance(4), chi*v-0.5e-6; math.Abs(got-want) > 1e-11 {
		t.Errorf("variance at 4 quads %g, want %g", got, want)
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "testdata/calibration.json", append(text, '\n'))
	var back Calibration
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*c, back); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
}

// TestVarianceStaysPossible: wild quads, which a Hodges-Lehmann centre ignores,
// make s̄² larger than all of V; neither more quads nor fewer may then lead out
// of what quads alone could explain.
func TestVarianceStaysPossible(t *testing.T) {
	c, err := Calibrate(testKey(), "", alternating(0.001, 0.1))
	if err != nil {
		t.Fatal(err)
	}
	if c.ProcessVariance != 0 {
		t.Errorf("τ² = %g, want 0", c.ProcessVariance)
	}
	v := c.PlanningVariance
	got := []float64{c.Variance(1), c.Variance(2), c.Variance(8)}
	if diff := cmp.Diff([]float64{2 * v, v, v / 4}, got, near); diff != "" {
		t.Errorf("variance at 1, 2 and 8 quads (-want +got):\n%s", diff)
	}
}

// TestDetectable has the figures of a planning deviation of 0.16 %.
func TestDetectable(t *testing.T) {
	c := calibrationOf(t, 0.0016*0.0016)
	for _, tt := range []struct {
		launches         int
		mde, half, floor float64 // percent
	}{
		{4, 0.333, 0.255, 0.157},
		{6, 0.228, 0.168, 0.128},
		{8, 0.184, 0.134, 0.111},
		{1, 0.448, 0.314, 0.314}, // normal quantiles
	} {
		half := quantile(0.975, degrees(tt.launches)) * math.Sqrt(c.PlanningVariance/float64(tt.launches))
		got := []float64{100 * c.MDE80Log(0.05, tt.launches, 2), 100 * half, 100 * c.FloorLog(tt.launches, 2)}
		for i, want := range []float64{tt.mde, tt.half, tt.floor} {
			if math.Abs(got[i]-want) > 0.0006 {
				t.Errorf("%d launches: detectable, half-width, floor %.4f, want %v", tt.launches, got, tt)
				break
			}
		}
	}
}

func TestNoisier(t *testing.T) {
	// F_{0.99,3,9} = 6.9919.
	n := noise{variance: 2, launches: 10}
	if n.exceededBy(2*6.991, 4) || !n.exceededBy(2*6.993, 4) {
		t.Errorf("the limit is not 6.992 times the bound")
	}
}

func TestCalibrate_Errors(t *testing.T) {
	short := alternating(0.001, 0.001)[:9]
	holed := alternating(0.001, 0.001)
	holed[3] = nil
	lone := alternating(0.001, 0.001)
	lone[4] = lone[4][:1]
	for _, tt := range []struct {
		name     string
		launches [][]float64
		want     string
	}{
		{"too few", short, "calibrate: 9 launches are too few for a noise floor, measure at least 10"},
		{"an empty launch", holed, "calibrate: launch 4 has no quad"},
		{"one quad", lone, "calibrate: launch 5 has a single quad, its spread needs 2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Calibrate(testKey(), "", tt.launches); err == nil || err.Error() != tt.want {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestCalibrationValidate_Errors(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Calibration)
		want   string
	}{
		{"another schema", func(c *Calibration) { c.SchemaVersion = 9 }, "schema 9, want 1"},
		{"an edited bound", func(c *Calibration) { c.PlanningVariance /= 2 }, "planning_variance is"},
		{"a launch taken out", func(c *Calibration) { c.LaunchesLog = c.LaunchesLog[1:] }, "do not belong together"},
		{"no quads", func(c *Calibration) { c.QuadsPerLaunch = 0 }, "do not belong together"},
		{"not a number", func(c *Calibration) { c.LaunchVariance = math.NaN() }, "launch_variance is NaN"},
		{"emptied", func(c *Calibration) { c.LaunchesLog, c.WithinVariances = nil, nil }, "0 launches are too few"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := calibrationOf(t, 1e-6)
			tt.change(c)
			if err := c.Validate(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestKeyDifferences(t *testing.T) {
	if got := testKey().Differences(testKey()); len(got) != 0 {
		t.Errorf("a key differs from itself: %q", got)
	}
	other := testKey()
	other.DriverMajor, other.PowerLimitWatts, other.CellClass = 580, 500, "q2k"
	want := []string{
		"driver major version: calibrated 570, now 580",
		"power limit in watts: calibrated 700, now 500",
		"cell class: calibrated 8q1s1k, now q2k",
	}
	if diff := cmp.Diff(want, testKey().Differences(other)); diff != "" {
		t.Errorf("differences (-want +got):\n%s", diff)
	}
	other = Key{}
	if got := testKey().Differences(other); len(got) != 8 {
		t.Errorf("an empty key differs in %q, want all 8 fields", got)
	}
}

func TestFalseAlarmLimit(t *testing.T) {
	for n, want := range map[int]int{0: 0, 1: 0, 2: 1, 20: 3, 40: 4, 100: 9} {
		if got := FalseAlarmLimit(n); got != want {
			t.Errorf("of %d comparisons %d, want %d", n, got, want)
		}
	}
}

func TestSelfCheck(t *testing.T) {
	sound := calibrationOf(t, 1e-6).SelfCheck(4)
	if diff := cmp.Diff(SelfCheck{MeanP: 1, Comparisons: 2, Allowed: 1}, sound, near); diff != "" || sound.Err() != nil {
		t.Errorf("alternating effects: %v (-want +got):\n%s", sound.Err(), diff)
	}
	biased := alternating(0.001, 0)
	for _, d := range biased {
		for q := range d {
			d[q] += 0.005
		}
	}
	c, err := Calibrate(testKey(), "", biased)
	if err != nil {
		t.Fatal(err)
	}
	s := c.SelfCheck(4)
	if s.FalseAlarms != 2 || math.Abs(s.MeanLog-0.005) > 1e-12 || s.MeanP > 1e-6 {
		t.Errorf("biased arms: %+v", s)
	}
	text := s.Err().Error()
	for _, want := range []string{"differs from itself by +0.501 %", "2 false alarms in 2 comparisons, at most 1"} {
		if !strings.Contains(text, want) {
			t.Errorf("error %q lacks %q", text, want)
		}
	}
}
