package suite

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestOpen_Outside: a suite by someone else leads to no file but its own.
func TestOpen_Outside(t *testing.T) {
	tests := map[string]bool{"engines/a": true, "": true, "../other": false, "/etc": false, "points/../../x": false}
	for place, inside := range tests {
		for _, text := range []string{
			`{"schema_version": 1, "engines": [{"dir": %q}]}`, `{"schema_version": 1, "engines": [{"attribution": %q}]}`,
			`{"schema_version": 1, "points": [{"repeats": [{"dir": %q}]}]}`,
		} {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, ManifestFile), fmt.Appendf(nil, text, place), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Open(dir)
			if (err == nil) != inside || err != nil && !strings.Contains(err.Error(), "is not in the suite's directory") {
				t.Errorf("%s: %v", fmt.Sprintf(text, place), err)
			}
		}
	}
}
