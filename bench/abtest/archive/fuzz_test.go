package archive

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stepbench/bench/abtest"
	"stepbench/bench/abtest/estimate"
)

// FuzzOpen: whatever a comparison's files hold, it is judged or refused with its
// directory's name.
func FuzzOpen(f *testing.F) {
	dir := filepath.Join(f.TempDir(), "ab")
	ev := someEvidence()
	d, err := Create(dir, Manifest{Sides: ev.Sides, Plan: ev.Plan, Cells: ev.Cells})
	if err != nil {
		f.Fatal(err)
	}
	for _, b := range ev.Launches[0].Bursts {
		if err := d.Burst(1, b); err != nil {
			f.Fatal(err)
		}
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			f.Fatal(err)
		}
		return string(text)
	}
	journal := read(JournalFile)
	if err := d.Finish(ev, nil, nil); err != nil {
		f.Fatal(err)
	}
	manifest, evidence := read(ManifestFile), read(EvidenceFile)
	f.Add(manifest, evidence, "")
	f.Add(manifest, "", journal)
	f.Add(manifest, "", journal[:len(journal)-10])
	f.Add(manifest, "", `{"launch":-1}`+"\n")
	f.Add(manifest, "", `{"launch":4611686018427387904}`+"\n")
	f.Add(manifest, `{"launches":[{"bursts":[{"cell":"8q1s40","kind":"timing","quad":1}]}]}`, "")
	f.Add(manifest, strings.Replace(evidence, `"profile"`, `"other"`, 1), "")
	f.Add(strings.Replace(manifest, `"looks"`, `"other"`, 1), "", journal)
	f.Fuzz(func(t *testing.T, manifest, evidence, journal string) {
		for name, text := range map[string]string{ManifestFile: manifest, EvidenceFile: evidence, JournalFile: journal} {
			path := filepath.Join(dir, name)
			if text == "" {
				_ = os.Remove(path) // it may be gone
			} else if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, ev, err := Open(dir)
		if err != nil {
			if !strings.Contains(err.Error(), dir) {
				t.Fatalf("the error does not say where: %v", err)
			}
			return
		}
		r := abtest.Judge(ev, abtest.Rules{})
		claims := r.Verdict == estimate.Same || r.Verdict == estimate.Faster || r.Verdict == estimate.Slower
		if claims && len(ev.Launches) == 0 {
			t.Fatalf("%s of nothing", r.Verdict)
		}
		if _, err := json.Marshal(r); err != nil && !strings.Contains(err.Error(), "unsupported value") {
			t.Fatal(err)
		}
	})
}
