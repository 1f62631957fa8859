package doctor

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"stepbench/bridge"
)

func TestMedianInterval(t *testing.T) {
	ordered := func(n int) []float64 {
		s := make([]float64, n)
		for i := range s {
			s[i] = float64((i*7)%n + 1) // 1…n, mixed: 7 divides none of the sizes below
		}
		return s
	}
	// Ranks of the table of distribution-free confidence intervals for a median
	// (Conover, Practical Nonparametric Statistics).
	tests := []struct {
		name           string
		n              int
		mid, low, high float64
	}{
		{"one", 1, 1, 1, 1},
		{"too few for 95 %", 5, 3, 1, 5},
		{"first with 95 %", 6, 3.5, 1, 6},
		{"nine", 9, 5, 2, 8},
		{"twenty", 20, 10.5, 6, 15},
		{"fifty", 50, 25.5, 18, 33},
	}
	for _, tt := range tests {
		mid, low, high := medianInterval(ordered(tt.n))
		if mid != tt.mid || low != tt.low || high != tt.high {
			t.Errorf("%s: %v (%v to %v), want %v (%v to %v)", tt.name, mid, low, high, tt.mid, tt.low, tt.high)
		}
	}
}

func ready() interpreter {
	return interpreter{
		python: bridge.Python{Executable: "python"},
		shim:   shim{path: "lib.so", check: func(bridge.Python) error { return nil }},
	}
}

func TestEmbedded(t *testing.T) {
	broken := errors.New("exit status 69: python did not start")
	always := func(ratio float64) func(int) float64 { return func(int) float64 { return ratio } }
	tests := []struct {
		name    string
		ratio   func(pair int) float64
		fail    string // which command fails
		status  Status
		value   string
		detail  string
		hasFact bool
	}{
		{"parity", always(1), "", OK, "+0.0 % time", "95 % interval", true},
		{"faster", always(0.9), "", OK, "-10.0 % time", "", true},
		{"at the limit", always(1.03), "", OK, "+3.0 % time", "", true},
		{"slower", always(1.12), "", Warn, "+12.0 % time", "linked statically", true},
		{"one outlier on each side", func(i int) float64 { return []float64{1.1, 1.1, 9, 1.1, 0.2, 1.1, 1.1, 1.1, 1.1}[i] }, "", Warn, "+10.0 % time", "linked statically", true},
		{"noise", func(i int) float64 { return 0.9 + 0.05*float64(i) }, "", Warn, "+10.0 % time", "too noisy to tell", true},
		{"executable fails", always(1), "python", Absent, NotAvailable, "python executable", false},
		{"embedding fails", always(1), "stepbench", Fail, "does not start", "did not start", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := emptyHost()
			var calls []string
			h.loop = func(_ context.Context, slot int, argv []string) (int64, error) {
				pair := len(calls) / 2
				calls = append(calls, argv[0])
				if slot != pair {
					t.Errorf("call %d runs in slot %d: a pair shares one", len(calls), slot)
				}
				if argv[0] == tt.fail {
					return 0, broken
				}
				if argv[0] == "stepbench" {
					if want := []string{"stepbench", "probe", "--python", "python", "--shim", "lib.so"}; !slices.Equal(argv, want) {
						t.Errorf("probe command %q, want %q", argv, want)
					}
					return int64(math.Round(1e6 * tt.ratio(pair))), nil
				}
				return 1e6, nil
			}
			got := embeddedCheck(context.Background(), probe, h, ready())
			if got.Status != tt.status || got.Value != tt.value || !strings.Contains(got.Detail, tt.detail) || (got.Facts != nil) != tt.hasFact {
				t.Errorf("got %+v, want %s, %s, %s", got, tt.status, tt.value, tt.detail)
			}
			if needs := got.Status == Fail || got.Status == Warn; needs != (got.Remedy != "") {
				t.Errorf("remedy %q for status %s", got.Remedy, got.Status)
			}
			if tt.fail == "" && (len(calls) != 2*pairs || calls[0] == calls[2] || calls[0] == calls[1]) {
				t.Errorf("not %d alternating pairs: %q", pairs, calls)
			}
		})
	}
}

func TestEmbeddedNotMeasured(t *testing.T) {
	mismatch := ready()
	mismatch.shim.check = func(bridge.Python) error { return errors.New("other build") }
	noShim, noPython := ready(), ready()
	noShim.shimErr, noPython.known = errors.New("gone"), errors.New("no python to ask")
	tests := []struct {
		name   string
		opt    Options
		in     interpreter
		detail string
	}{
		{"not asked for", Options{}, ready(), ""},
		{"no python", probe, noPython, "no python to ask"},
		{"no shim", probe, noShim, "no shim"},
		{"shim of another python", probe, mismatch, "another Python"},
	}
	for _, tt := range tests {
		h := emptyHost()
		h.loop = func(context.Context, int, []string) (int64, error) {
			t.Errorf("%s: measured", tt.name)
			return 1, nil
		}
		if got := embeddedCheck(context.Background(), tt.opt, h, tt.in); got.Status != Absent || !strings.Contains(got.Detail, tt.detail) {
			t.Errorf("%s: got %+v, want %q", tt.name, got, tt.detail)
		}
	}
}

func TestRunLoop(t *testing.T) {
	tests := []struct {
		name, text string
		want       int64
		err        string
	}{
		{"answers", `echo '{"loop_ns": 1234}'`, 1234, ""},
		{"no figure", `echo '{}'`, 0, "answers"},
		{"negative", `echo '{"loop_ns": -5}'`, 0, "answers"},
		{"garbage", `echo loop`, 0, "answers"},
		{"fails", `echo 'stepbench: python did not start' >&2; exit 69`, 0, "exit status 69: python did not start"},
		{"crashes", `kill -SEGV $$`, 0, "signal: segmentation fault"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := runLoop(context.Background(), 0, []string{script(t, tt.text)})
			if got != tt.want || !strings.Contains(errText(err), tt.err) || (err == nil) != (tt.err == "") {
				t.Errorf("got %d, %v; want %d, %s", got, err, tt.want, tt.err)
			}
		})
	}
}
