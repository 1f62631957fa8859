package record

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"stepbench/engine"
)

func FuzzReadJournal(f *testing.F) {
	f.Add("")
	f.Add("{\"start_ns\":1}\n{\"steps\":[{\"Index\":3}]}\n{\"requ")
	f.Add("{}\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		j, err := readJournal(strings.NewReader(text))
		if err != nil {
			return
		}
		if j.truncated == strings.HasSuffix(text, "\n") && text != "" {
			t.Errorf("truncated %v for %q", j.truncated, text)
		}
		// What was read writes and reads the same.
		var b strings.Builder
		if err := appendBatch(&b, engine.Batch{StartNs: j.startNs, Steps: j.steps, Requests: j.requests}); err != nil {
			t.Fatal(err)
		}
		again, err := readJournal(strings.NewReader(b.String()))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(j.requests, again.requests, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("requests on the second reading:\n%s", diff)
		}
		if diff := cmp.Diff(j.steps, again.steps, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("steps on the second reading:\n%s", diff)
		}
	})
}
