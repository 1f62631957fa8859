package golden

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// recorder is a testing.TB that keeps its failures instead of failing.
type recorder struct {
	testing.TB
	failures []string
}

func (r *recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) { r.Errorf(format, args...) }

// setUpdate puts -update to v for one test, whatever the command line said.
func setUpdate(t *testing.T, v bool) {
	old := *update
	*update = v
	t.Cleanup(func() { *update = old })
}

func TestCheck(t *testing.T) {
	setUpdate(t, false)
	tests := []struct {
		name, want, got string
		missing         bool // no golden file
		wantFailure     string
	}{
		{name: "equal", want: "a\n", got: "a\n"},
		{name: "different", want: "a\n", got: "b\n", wantFailure: "(-want +got)"},
		{name: "missing file", missing: true, got: "b\n", wantFailure: "differs"},
		{name: "missing file means empty", missing: true, got: ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "out.txt")
			if !tt.missing {
				if err := os.WriteFile(path, []byte(tt.want), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(path+".got", []byte("stale"), 0o644); err != nil {
				t.Fatal(err)
			}
			rec := &recorder{TB: t}
			Check(rec, path, []byte(tt.got))
			failures := strings.Join(rec.failures, "\n")
			beside, err := os.ReadFile(path + ".got")
			if tt.wantFailure == "" {
				if failures != "" {
					t.Errorf("failed on equal content: %s", failures)
				}
				if err == nil {
					t.Errorf("stale %s.got was kept", path)
				}
				return
			}
			if !strings.Contains(failures, tt.wantFailure) {
				t.Errorf("failures %q, want one with %q", failures, tt.wantFailure)
			}
			if string(beside) != tt.got {
				t.Errorf("%s.got holds %q, want %q", path, beside, tt.got)
			}
		})
	}
}

func TestCheckUpdate(t *testing.T) {
	setUpdate(t, true)
	path := filepath.Join(t.TempDir(), "testdata", "new.txt")
	rec := &recorder{TB: t}
	Check(rec, path, []byte("fresh\n"))
	*update = false
	Check(rec, path, []byte("fresh\n"))
	if len(rec.failures) != 0 {
		t.Errorf("update did not store the output: %v", rec.failures)
	}
}
