package chromium

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestInjected: a page that takes the payloads for markup is found out, one that
// shows them as text is not.
func TestInjected(t *testing.T) {
	b := Start(t)
	escape := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;").Replace
	path := filepath.Join(t.TempDir(), "page.html")
	for _, payload := range Payloads[:8] {
		for _, tt := range []struct {
			page   string
			harmed bool
		}{
			{"<!DOCTYPE html><p title='" + payload + "'>" + payload + "</p>", true},
			{"<!DOCTYPE html><p title='" + escape(payload) + "'>" + escape(payload) + "</p>", false},
		} {
			if err := os.WriteFile(path, []byte(tt.page), 0o600); err != nil {
				t.Fatal(err)
			}
			b.Open(FileURL(t, path))
			if found := b.Injected(0); (len(found) > 0) != tt.harmed {
				t.Errorf("%s: found %q", tt.page, found)
			}
		}
	}
}
