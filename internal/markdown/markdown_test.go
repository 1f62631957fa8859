package markdown

import "testing"

func TestEscape(t *testing.T) {
	if got, want := Escape(OneLine("a|b\n<i>*x*</i>\u202e`[y]`\x1b[0m")), `a\|b &lt;i&gt;\*x\*&lt;/i&gt;`+"\\`\\[y\\]\\`\\[0m"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFenceIsLongerThanWhatItHolds(t *testing.T) {
	if got, want := Fence("sh", "echo ```\n"), "````sh\necho ```\n````\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTable(t *testing.T) {
	got := Table([]Column{{"name", true}, {"a|b", false}}, [][]string{{"x", "1"}})
	if want := "| name | a\\|b |\n|:--|--:|\n| x | 1 |\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
