package encode

import (
	"bytes"
	"encoding/json"
	"testing"

	"stepbench/bench/micro"
	"stepbench/bench/trace"
)

func TestTrace(t *testing.T) {
	res := sample(t)
	tr := Trace(res)
	steps, cells := 0, map[string]bool{}
	for _, s := range res.Steps {
		if s.Stage == micro.Timing && s.Round == 0 {
			steps++
		}
	}
	for _, e := range tr.Events {
		if e.EndNs <= e.StartNs {
			t.Errorf("%s lasts %d ns", e.Name, e.EndNs-e.StartNs)
		}
		if e.Track == "cell" {
			if cells[e.Name] {
				t.Errorf("cell %s is visited twice in a round", e.Name)
			}
			cells[e.Name] = true
		}
	}
	if len(tr.Steps) != steps || steps == 0 {
		t.Errorf("%d steps of %d", len(tr.Steps), steps)
	}
	if len(cells) != len(res.Cells) {
		t.Errorf("%d cells of %d", len(cells), len(res.Cells))
	}
	var b bytes.Buffer
	if err := trace.Write(&b, tr); err != nil {
		t.Fatal(err)
	}
	if !json.Valid(b.Bytes()) {
		t.Errorf("the trace is not JSON")
	}
}
