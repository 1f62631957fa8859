package archive

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"stepbench/bench/abtest"
	"stepbench/bench/abtest/estimate"
	"stepbench/bench/abtest/numerics"
	"stepbench/bench/micro"
	"stepbench/bench/record"
)

func someBurst(arm abtest.Which, position int) abtest.Burst {
	return abtest.Burst{
		Cell: "8q1s40", Kind: abtest.Attribution, Quad: 1, Position: position, Arm: arm,
		Burst: &micro.Burst{
			Planned: 8, Steps: 8, WallNs: 2e6, Tokens: 1<<63 + 1, Shapes: 7,
			Profile: &micro.BurstProfile{Unit: "kernel", SumNs: 1e6, Rows: []micro.BurstRow{{Name: "gemm", Calls: 4, Ns: 1e6}}},
		},
	}
}

func someEvidence() *abtest.Evidence {
	b := abtest.ArmB
	return &abtest.Evidence{
		Sides: [2]abtest.Side{{Name: "stock"}, {Name: "v"}}, Cells: []string{"8q1s40"}, Plan: estimate.Plans()[0],
		Outputs: numerics.Unchecked("not compared"), BurstSteps: map[string]int{"8q1s40": 8},
		Launches: []abtest.Launch{{Number: 1, First: abtest.ArmB, Bursts: []abtest.Burst{
			someBurst(abtest.ArmA, 1), someBurst(abtest.ArmB, 2), someBurst(abtest.ArmB, 3), someBurst(abtest.ArmA, 4),
		}}},
		Failure: &abtest.Failure{Launch: 1, Arm: &b, Side: "v", During: "timing", Reason: "the worker died", Log: []string{"Segmentation fault"}},
	}
}

var unexported = cmpopts.IgnoreUnexported(abtest.Failure{})

func TestFinishedComparison(t *testing.T) {
	ev := someEvidence()
	path := filepath.Join(t.TempDir(), "results", "ab")
	d, err := Create(path, Manifest{Sides: ev.Sides, Plan: ev.Plan, Cells: ev.Cells})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range ev.Launches[0].Bursts {
		if err := d.Burst(1, b); err != nil {
			t.Fatal(err)
		}
	}
	verdict := &abtest.Result{Verdict: estimate.Invalid, ExitCode: 3}
	if err := d.Finish(ev, verdict, nil); err != nil {
		t.Fatal(err)
	}
	m, got, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ev, got, unexported); diff != "" {
		t.Errorf("evidence (-kept +read):\n%s", diff)
	}
	if m.State != record.Complete || m.EndUTC.IsZero() || m.Files[EvidenceFile] == "" || m.Files[VerdictFile] == "" {
		t.Errorf("manifest %+v", m)
	}
	if _, err := os.Stat(filepath.Join(path, JournalFile)); !errors.Is(err, os.ErrNotExist) {
		t.Error("the journal is still there")
	}
}

// A comparison that was killed keeps its bursts, but for one that was cut off.
func TestKilledComparison(t *testing.T) {
	ev := someEvidence()
	path := filepath.Join(t.TempDir(), "ab")
	d, err := Create(path, Manifest{Sides: ev.Sides, Plan: ev.Plan, Cells: ev.Cells})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range ev.Launches[0].Bursts {
		if err := d.Burst(1, b); err != nil {
			t.Fatal(err)
		}
	}
	journal := filepath.Join(path, JournalFile)
	text, err := os.ReadFile(journal)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(journal, text[:len(text)-10], 0o644); err != nil {
		t.Fatal(err)
	}
	m, got, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if m.State != record.Running || !got.Interrupted || len(got.Launches) != 1 {
		t.Fatalf("state %s, interrupted %v, %d launches", m.State, got.Interrupted, len(got.Launches))
	}
	if diff := cmp.Diff(ev.Launches[0].Bursts[:3], got.Launches[0].Bursts); diff != "" {
		t.Errorf("bursts (-kept +read):\n%s", diff)
	}
	if r := abtest.Judge(got, abtest.Rules{}); r.Verdict == estimate.Same || r.Verdict == estimate.Faster || r.Verdict == estimate.Slower {
		t.Errorf("verdict %s on a comparison that was killed", r.Verdict)
	}
}

func TestRefusals(t *testing.T) {
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(full, Manifest{}); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("a full directory: %v", err)
	}
	if _, _, err := Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "not a comparison's directory") {
		t.Errorf("an empty directory: %v", err)
	}
	other := t.TempDir()
	text, err := json.Marshal(record.Manifest{Method: "openloop", SchemaVersion: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(other, ManifestFile), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Open(other); err == nil || !strings.Contains(err.Error(), "openloop") {
		t.Errorf("another method's directory: %v", err)
	}
}

// What could not be measured to the end says so.
func TestFailedComparison(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ab")
	d, err := Create(path, Manifest{})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Finish(someEvidence(), nil, errors.New("no GPU")); err != nil {
		t.Fatal(err)
	}
	m, _, err := Open(path)
	if err != nil || m.State != record.Failed || m.Error != "no GPU" {
		t.Errorf("%v, state %s, error %q", err, m.State, m.Error)
	}
}
