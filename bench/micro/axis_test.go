package micro

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseAxis(t *testing.T) {
	tests := []struct {
		name, text string
		want       []int
	}{
		{"one value", "8", []int{8}},
		{"list", "1,8,32", []int{1, 8, 32}},
		{"spaces", " 1 , 8", []int{1, 8}},
		{"k", "1k,3k", []int{1024, 3072}},
		{"plain range", "1..4", []int{1, 2, 3, 4}},
		{"range of one", "4..4", []int{4}},
		{"sum", "64..256+64", []int{64, 128, 192, 256}},
		{"sum that misses its end", "64..255+64", []int{64, 128, 192}},
		{"product", "128..2048*2", []int{128, 256, 512, 1024, 2048}},
		{"product in k", "512..2k*2", []int{512, 1024, 2048}},
		{"as llama-bench", "64-256+64,1-8*2", []int{64, 128, 192, 256, 1, 2, 4, 8}},
		{"repeats", "1,2,1..3", []int{1, 2, 3}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseAxis("--context", tt.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestParseAxisErrors(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"empty", "", `--batch "": an item is empty: write numbers or ranges such as 1,8,32 or 128..2k*2`},
		{"empty item", "1,,2", `--batch "1,,2": an item is empty: write numbers or ranges such as 1,8,32 or 128..2k*2`},
		{"zero", "0", `--batch "0": "0" must be at least 1`},
		{"negative", "-1", `--batch "-1": "" is not a number`},
		{"word", "many", `--batch "many": "many" is not a number`},
		{"fraction", "1.5", `--batch "1.5": "1.5" is not a number`},
		{"sign", "+5", `--batch "+5": "+5" is not a number`},
		{"huge", "99999999999999999999999", `--batch "99999999999999999999999": "99999999999999999999999" is above 16777216`},
		{"huge k", "16385k", `--batch "16385k": "16385k" is above 16777216`},
		{"backwards", "8..4", `--batch "8..4": range 8..4 ends at 4, below its start 8`},
		{"no step", "1..8+", `--batch "1..8+": "" is not a number`},
		{"times one", "1..8*1", `--batch "1..8*1": a range times 1 does not advance`},
		{"endless", "1..20000", `--batch "1..20000": range 1..20000 has more than 10000 values`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseAxis("--batch", tt.text)
			if err == nil {
				t.Fatalf("accepted as %v", got)
			}
			if err.Error() != tt.want {
				t.Errorf("got  %s\nwant %s", err, tt.want)
			}
		})
	}
}

func FuzzParseAxis(f *testing.F) {
	for _, seed := range []string{"8", "1,8,32", "128..2048*2", "64..256+64", "1k..4k*2", "64-256+64", "1..", "..", "1k*", "0x10", "9999999999k", "1..3..5", "１"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		values, err := ParseAxis("--batch", text)
		if err != nil {
			return
		}
		if len(values) == 0 || len(values) > maxAxis {
			t.Fatalf("%q has %d values", text, len(values))
		}
		seen := map[int]bool{}
		for _, v := range values {
			if v < 1 || v > maxSize || seen[v] {
				t.Fatalf("%q has the value %d, repeated: %v", text, v, seen[v])
			}
			seen[v] = true
		}
		// Each value is an axis by itself.
		for _, v := range values[:min(3, len(values))] {
			again, err := ParseAxis("--batch", formatSize(v))
			if err != nil || len(again) != 1 || again[0] != v {
				t.Fatalf("%d written as %s reads as %v, %v", v, formatSize(v), again, err)
			}
		}
	})
}
