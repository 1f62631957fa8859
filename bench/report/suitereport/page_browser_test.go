package suitereport

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stepbench/bench/analysis/analysistest"
	"stepbench/internal/chromium"
	"stepbench/internal/markdown"
)

// TestPageInBrowser opens the report from disk as a reader does. With
// STEPBENCH_SCREENSHOTS=DIR it leaves pictures of it there.
func TestPageInBrowser(t *testing.T) {
	b := chromium.Start(t)
	dir := t.TempDir()
	if err := Write(dir, analysistest.Twelve()); err != nil {
		t.Fatal(err)
	}
	url := chromium.FileURL(t, filepath.Join(dir, HTMLFile))
	for _, width := range []int{1280, 375} {
		for _, scheme := range []string{"light", "dark"} {
			t.Run(fmt.Sprintf("%s_%d", scheme, width), func(t *testing.T) {
				b.T = t
				b.Show(width, scheme)
				b.Open(url)
				checkSections(t, b)
				checkFigures(t, b)
				checkWidth(t, b, width)
				checkSorting(t, b)
				if got := b.Complaints(url); len(got) > 0 {
					t.Errorf("the browser complains: %q", got)
				}
				if keep := os.Getenv("STEPBENCH_SCREENSHOTS"); keep != "" {
					if err := b.Screenshot(filepath.Join(keep, fmt.Sprintf("report_%s_%d.png", scheme, width))); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
}

// TestHostilePageInBrowser: whatever is in records, the page shows it as text.
func TestHostilePageInBrowser(t *testing.T) {
	b := chromium.Start(t)
	path := filepath.Join(t.TempDir(), HTMLFile)
	for _, payload := range append([]string{strings.Join(chromium.Payloads, " ")}, chromium.Payloads...) {
		var page bytes.Buffer
		if err := HTML(&page, hostileAnalysis(payload)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, page.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		url := chromium.FileURL(t, path)
		b.Open(url)
		var text string
		b.Eval(`document.querySelectorAll("th button").forEach(b => b.click()); document.body.textContent`, &text)
		if found := append(b.Injected(1), b.Complaints(url)...); len(found) > 0 {
			t.Errorf("%q became %q", payload, found)
		}
		if want := markdown.Clean(payload); !strings.Contains(text, want) {
			t.Errorf("the page does not show %q", want)
		}
	}
}

func checkSections(t *testing.T, b *chromium.Browser) {
	t.Helper()
	var got []string
	b.Eval(`[...document.querySelectorAll("main > section")].filter(s => s.offsetHeight > 40).map(s => s.id)`, &got)
	want := []string{"conclusions", "machine", "phases", "datasets", "arrivals", "models", "scaling", "cpu", "parallelism", "bottlenecks", "not-run"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sections (-want +got):\n%s", diff)
	}
}

func checkFigures(t *testing.T, b *chromium.Browser) {
	t.Helper()
	var sizes map[string][3]float64
	b.Eval(`Object.fromEntries([...document.querySelectorAll("figure svg")].map(s => {
		const r = s.getBoundingClientRect();
		return [s.closest("figure").id, [r.width, r.height, s.querySelectorAll("path").length]];
	}))`, &sizes)
	stems := []string{
		"phase_comparison", "throughput_comparison", "latency_distribution", "latency_vs_throughput", "gpu_utilization", "phase_breakdown",
		"scaling_efficiency", // where several numbers of devices were measured
	}
	for _, stem := range stems {
		if s := sizes["figure-"+stem]; s[0] < 300 || s[1] < 100 || s[2] < 10 {
			t.Errorf("%s is %g x %g with %g paths", stem, s[0], s[1], s[2])
		}
	}
	if len(sizes) != len(stems) {
		t.Errorf("%d figures, want %d", len(sizes), len(stems))
	}
}

// checkWidth: wide tables and drawings scroll in their own boxes, the page
// itself does not.
func checkWidth(t *testing.T, b *chromium.Browser, width int) {
	t.Helper()
	var scroll int
	b.Eval(`document.documentElement.scrollWidth`, &scroll)
	if scroll > width {
		t.Errorf("the page is %d wide in a window of %d", scroll, width)
	}
}

// checkSorting clicks on the column of achieved rates, twice. The failed
// configuration has none and stays last.
func checkSorting(t *testing.T, b *chromium.Browser) {
	t.Helper()
	const column = `(() => {
		const table = document.querySelector("#phases table");
		const heads = [...table.tHead.rows[0].cells];
		const i = heads.findIndex(h => h.textContent === "achieved req/s");
		%s
		return [...table.tBodies[0].rows].map(r => r.cells[i].dataset.sort === undefined ? -1 : Number(r.cells[i].dataset.sort));
	})()`
	var before, up, down []float64
	b.Eval(fmt.Sprintf(column, ""), &before)
	b.Eval(fmt.Sprintf(column, `heads[i].querySelector("button").click();`), &up)
	b.Eval(fmt.Sprintf(column, `heads[i].querySelector("button").click();`), &down)
	measured := slices.DeleteFunc(slices.Clone(before), func(x float64) bool { return x < 0 })
	if len(measured) != len(before)-1 {
		t.Fatalf("rates %v, want all but one", before)
	}
	slices.Sort(measured)
	if diff := cmp.Diff(append(slices.Clone(measured), -1), up); diff != "" {
		t.Errorf("ascending (-want +got):\n%s", diff)
	}
	slices.Reverse(measured)
	if diff := cmp.Diff(append(measured, -1), down); diff != "" {
		t.Errorf("descending (-want +got):\n%s", diff)
	}
}
