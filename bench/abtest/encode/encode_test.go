package encode

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
	"golang.org/x/perf/benchfmt"

	"stepbench/bench/abtest"
	"stepbench/bench/abtest/estimate"
	"stepbench/internal/golden"
)

func encode(t testing.TB, f Format, c *Comparison) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Encode(&b, f, c); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestGolden(t *testing.T) {
	all := comparisons(t)
	for _, kind := range sortedNames(all) {
		formats := []Format{Markdown, PullRequest}
		if kind == "slower" {
			formats = append(formats, JSONL, Benchfmt, HTML)
		}
		for _, f := range formats {
			t.Run(kind+"."+string(f), func(t *testing.T) {
				golden.Check(t, "testdata/"+kind+"."+string(f), encode(t, f, all[kind]))
			})
		}
	}
}

func sortedNames(all map[string]*Comparison) []string {
	var names []string
	for n := range all {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// The document gives everything back, but for single bursts.
func TestJSONRoundTrip(t *testing.T) {
	for kind, c := range comparisons(t) {
		t.Run(kind, func(t *testing.T) {
			text := encode(t, JSON, c)
			d := json.NewDecoder(bytes.NewReader(text))
			d.DisallowUnknownFields()
			var got report
			if err := d.Decode(&got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.Result, got.Result); diff != "" {
				t.Errorf("result (-want +got)\n%s", diff)
			}
			var again bytes.Buffer
			e := encoder(&again)
			e.SetIndent("", "  ")
			if err := e.Encode(got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(text), again.String()); diff != "" {
				t.Errorf("written again (-first +again)\n%s", diff)
			}
			if got.Summary.Line != Line(c) || got.Summary.ExitCode != c.Result.ExitCode || got.SchemaVersion != SchemaVersion || got.Method != "ab" {
				t.Errorf("head %+v, summary %+v", got.header, got.Summary)
			}
			if got.Command != c.Command || !got.StartUTC.Equal(c.Start) || len(got.Evidence.Launches) != len(c.Evidence.Launches) {
				t.Errorf("command %q, start %v, %d launches", got.Command, got.StartUTC, len(got.Evidence.Launches))
			}
			quads := 0
			for _, s := range got.Series {
				for _, l := range append(s.Attribution, s.Timing...) {
					quads += len(l.Quads)
				}
			}
			if want := len(quadStarts(c)); quads != want {
				t.Errorf("%d quads, want %d", quads, want)
			}
		})
	}
}

// quadStarts are the first bursts of all quads.
func quadStarts(c *Comparison) []abtest.Burst {
	var first []abtest.Burst
	for _, l := range c.Evidence.Launches {
		for _, b := range l.Bursts {
			if b.Position == 1 {
				first = append(first, b)
			}
		}
	}
	return first
}

// Every line of JSONL stands alone, and the kernels of a cell add up to it.
func TestJSONLAddsUp(t *testing.T) {
	c := comparisons(t)["slower"]
	sums, counts := map[string][2]float64{}, map[string]int{}
	cells := map[string][2]float64{}
	for line := range strings.Lines(string(encode(t, JSONL, c))) {
		var row struct {
			Schema    int `json:"schema_version"`
			Method    string
			Record    string
			Cell      string
			UsA       float64 `json:"us_a"`
			UsB       float64 `json:"us_b"`
			KernelUsA float64 `json:"kernel_us_a"`
			KernelUsB float64 `json:"kernel_us_b"`
		}
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		if row.Schema != SchemaVersion || row.Method != Method {
			t.Errorf("schema %d, method %q: %s", row.Schema, row.Method, line)
		}
		counts[row.Record]++
		switch row.Record {
		case "kernel":
			s := sums[row.Cell]
			sums[row.Cell] = [2]float64{s[0] + row.UsA, s[1] + row.UsB}
		case "cell":
			cells[row.Cell] = [2]float64{row.KernelUsA, row.KernelUsB}
		}
	}
	if diff := cmp.Diff(map[string]int{"verdict": 1, "cell": 2, "kernel": 30, "gate": 4}, counts); diff != "" {
		t.Errorf("records (-want +got)\n%s", diff)
	}
	for cell, want := range cells {
		for w, got := range sums[cell] {
			if d := got - want[w]; d > 0.002 || d < -0.002 {
				t.Errorf("%s, arm %d: kernels add up to %g µs, the cell has %g", cell, w, got, want[w])
			}
		}
	}
}

// benchstat's own reader finds a sample of both arms for every launch.
func TestBenchfmtReadsBack(t *testing.T) {
	all := comparisons(t)
	for kind, unit := range map[string]string{"slower": "kernel-sec/step", "wall": "op-sec/step", "invalid": ""} {
		t.Run(kind, func(t *testing.T) {
			c := all[kind]
			got := map[string]int{}
			sums := map[string]float64{}
			r := benchfmt.NewReader(bytes.NewReader(encode(t, Benchfmt, c)), kind)
			for r.Scan() {
				switch rec := r.Result().(type) {
				case *benchfmt.SyntaxError:
					t.Errorf("syntax error: %v", rec)
				case *benchfmt.Result:
					kernel, ok := rec.Value(unit) // the reader turns ns into seconds
					wall, ok2 := rec.Value("wall-sec/step")
					if !ok || !ok2 || kernel <= 0 || wall <= kernel || rec.Iters <= 0 {
						t.Errorf("%s: %v", rec.Name, rec.Values)
					}
					name := string(rec.Name.Full())
					got[name]++
					sums[name[len(name)-1:]] += kernel
					if a, b := rec.GetConfig("a"), rec.GetConfig("b"); a != "stock" || b != "slow" {
						t.Errorf("arms %q and %q", a, b)
					}
				}
			}
			if err := r.Err(); err != nil {
				t.Fatal(err)
			}
			want := map[string]int{}
			if c.Result.Verdict != estimate.Invalid {
				for _, cell := range c.Evidence.Cells {
					for _, arm := range []string{"A", "B"} {
						want["Step/model=org_llama-tiny/shape="+cell+"/arm="+arm] = len(c.Evidence.Launches)
					}
				}
				if change := 100 * (sums["B"]/sums["A"] - 1); abs(change-estimate.Percent(c.Result.Kernel.Primary.EffectLog)) > 0.1 {
					t.Errorf("B against A is %+.2f %%, the verdict says %+.2f %%", change, estimate.Percent(c.Result.Kernel.Primary.EffectLog))
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("samples (-want +got)\n%s", diff)
			}
		})
	}
}

func abs(x float64) float64 { return max(x, -x) }

func TestParquetReadsBack(t *testing.T) {
	c := comparisons(t)["slower"]
	data := encode(t, Parquet, c)
	rows, err := parquet.Read[burstRow](bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	i, dropped, profiled := 0, 0, 0
	for _, l := range c.Evidence.Launches {
		for _, b := range l.Bursts {
			r := rows[i]
			i++
			if int(r.Launch) != l.Number || r.Cell != b.Cell || r.Kind != string(b.Kind) || int(r.Quad) != b.Quad || int(r.Position) != b.Position ||
				r.Arm != b.Arm.String() || r.WallNs != b.WallNs || r.TokensHash != b.Tokens || r.Drop != b.Drop {
				t.Fatalf("row %d is %+v, was %+v", i, r, b)
			}
			if r.QuadDrop != "" {
				dropped++
			}
			if b.Profile == nil {
				if r.SumNs != nil || r.EndpointNs != nil {
					t.Fatalf("row %d has times that were not measured: %+v", i, r)
				}
				continue
			}
			profiled += len(b.Profile.Rows)
			if *r.SumNs != b.Profile.SumNs || *r.EndpointNs != b.Profile.SumNs || *r.BusyNs != b.Profile.BusyNs {
				t.Fatalf("row %d is %+v, was %+v", i, r, b.Profile)
			}
		}
	}
	if i != len(rows) {
		t.Errorf("%d rows for %d bursts", len(rows), i)
	}
	if dropped != 4+8 { // one timing quad, one attribution quad of each cell
		t.Errorf("%d bursts of dropped quads", dropped)
	}

	var b bytes.Buffer
	if err := Kernels(&b, c); err != nil {
		t.Fatal(err)
	}
	kernels, err := parquet.Read[kernelRow](bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if len(kernels) != profiled || profiled == 0 {
		t.Errorf("%d rows for %d kernels", len(kernels), profiled)
	}
	for _, k := range kernels {
		if want := k.Ns; k.Copy && k.EndpointNs != 0 || !k.Copy && k.EndpointNs != want {
			t.Fatalf("%+v adds to the endpoint", k)
		}
	}
	for _, table := range [][]byte{data, b.Bytes()} {
		file, err := parquet.OpenFile(bytes.NewReader(table), int64(len(table)))
		if err != nil {
			t.Fatal(err)
		}
		text, _ := file.Lookup("units")
		var units map[string]string
		if err := json.Unmarshal([]byte(text), &units); err != nil {
			t.Fatal(err)
		}
		for _, field := range file.Schema().Fields() {
			if units[field.Name()] == "" {
				t.Errorf("column %s has no unit", field.Name())
			}
		}
		if v, _ := file.Lookup("endpoint"); v != "kern" {
			t.Errorf("endpoint %q", v)
		}
	}
}

// The page needs nothing else, and what it nests it closes.
func TestPageStandsAlone(t *testing.T) {
	for kind, c := range comparisons(t) {
		t.Run(kind, func(t *testing.T) {
			text := string(encode(t, HTML, c))
			for _, bad := range []string{"src=", "href=", "@import", "url(", "<script", "://", "ZgotmplZ", "NaN", "Inf"} {
				if strings.Contains(text, bad) {
					t.Errorf("the page has %q", bad)
				}
			}
			svgs := 0
			for _, e := range elements(t, text) {
				if e.Name.Local == "svg" {
					svgs++
				}
			}
			if want := 2 + 2*len(c.Evidence.Cells); svgs != want {
				t.Errorf("%d figures, want %d", svgs, want)
			}
		})
	}
}

// elements of a page; a tag that is not closed in its place fails the test.
func elements(t testing.TB, text string) []xml.StartElement {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	var all []xml.StartElement
	var open []string
	for {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			all = append(all, e.Copy())
			if e.Name.Local != "meta" {
				open = append(open, e.Name.Local)
			}
		case xml.EndElement:
			if len(open) == 0 || open[len(open)-1] != e.Name.Local {
				t.Fatalf("</%s> closes %v", e.Name.Local, open)
			}
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 {
		t.Errorf("never closed: %v", open)
	}
	return all
}

// A comparison that ended before anything was measured is still reported.
func TestNothingMeasured(t *testing.T) {
	ev := &abtest.Evidence{
		Sides: [2]abtest.Side{{Name: "stock"}, {Name: "broken"}}, Plan: mustPlan(t, "ci"), Cells: []string{"8q1s128"},
		Failure: &abtest.Failure{Launch: 1, During: "opening", Reason: "the worker died"},
	}
	c := &Comparison{Evidence: ev, Result: abtest.Judge(ev, abtest.Rules{})}
	for _, f := range Formats() {
		text := string(encode(t, f, c))
		if f != Parquet && !strings.Contains(text, "the worker died") && f != Benchfmt {
			t.Errorf("%s does not say why:\n%s", f, text)
		}
	}
	if err := Kernels(io.Discard, c); err != nil {
		t.Error(err)
	}
}

func mustPlan(t testing.TB, name string) estimate.Plan {
	t.Helper()
	p, err := estimate.PlanNamed(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

type brokenWriter struct{}

var errBroken = errors.New("disk full")

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

func TestWriteErrors(t *testing.T) {
	c := comparisons(t)["slower"]
	for _, f := range Formats() {
		if err := Encode(brokenWriter{}, f, c); !errors.Is(err, errBroken) {
			t.Errorf("%s: %v", f, err)
		}
	}
	if err := Kernels(brokenWriter{}, c); !errors.Is(err, errBroken) {
		t.Errorf("kernels: %v", err)
	}
	if err := Encode(io.Discard, "xml", c); err == nil {
		t.Errorf("an unknown format is written")
	}
}
