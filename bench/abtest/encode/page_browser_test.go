package encode

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stepbench/internal/chromium"
)

// TestHostilePageInBrowser: whatever is in evidence, the page shows it as text.
func TestHostilePageInBrowser(t *testing.T) {
	b := chromium.Start(t)
	path := filepath.Join(t.TempDir(), "page.html")
	for _, payload := range append([]string{strings.Join(chromium.Payloads, " ")}, chromium.Payloads...) {
		if err := os.WriteFile(path, encode(t, HTML, hostileComparison(t, payload)), 0o600); err != nil {
			t.Fatal(err)
		}
		url := chromium.FileURL(t, path)
		b.Open(url)
		if found := append(b.Injected(0), b.Complaints(url)...); len(found) > 0 {
			t.Errorf("%q became %q", payload, found)
		}
	}
}
