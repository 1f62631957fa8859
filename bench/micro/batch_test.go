package micro

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseBatch(t *testing.T) {
	tests := []struct {
		name, text string
		want       Batch
		canonical  string
		phase      Phase
	}{
		{"prefill", "q2k", Batch{{1, 2048, 2048}}, "q2k", Prefill},
		{"decode", "q1s1k", Batch{{1, 1, 1024}}, "q1s1k", Decode},
		{"decodes", "8q1s1k", Batch{{8, 1, 1024}}, "8q1s1k", Decode},
		{"extend", "q4s1k", Batch{{1, 4, 1024}}, "q4s1k", Prefill},
		{"mixed", "2q2k_32q1s1k", Batch{{2, 2048, 2048}, {32, 1, 1024}}, "2q2k_32q1s1k", Mixed},
		{"decodes first", "32q1s1k_2q2k", Batch{{2, 2048, 2048}, {32, 1, 1024}}, "2q2k_32q1s1k", Mixed},
		{"plain numbers", "1q1000s1025", Batch{{1, 1000, 1025}}, "q1000s1025", Prefill},
		{"k where exact", "q2048s3072", Batch{{1, 2048, 3072}}, "q2ks3k", Prefill},
		{"total written out", "q2ks2k", Batch{{1, 2048, 2048}}, "q2k", Prefill},
		{"merged", "q1s8_3q1s8_q1s9", Batch{{1, 1, 9}, {4, 1, 8}}, "q1s9_4q1s8", Decode},
		{"a prompt of one token", "2q1", Batch{{2, 1, 1}}, "2q1", Prefill},
		{"leading zeros", "08q01s010", Batch{{8, 1, 10}}, "8q1s10", Decode},
		{"all kinds", "q1s5_q4s8_q4_q6", Batch{{1, 6, 6}, {1, 4, 4}, {1, 4, 8}, {1, 1, 5}}, "q6_q4_q4s8_q1s5", Mixed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseBatch(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if got.String() != tt.canonical {
				t.Errorf("written as %s, want %s", got, tt.canonical)
			}
			if phase := (Cell{Batch: got}).Phase(); phase != tt.phase {
				t.Errorf("phase %s, want %s", phase, tt.phase)
			}
		})
	}
}

func TestParseBatchErrors(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"empty", "", `batch "": "" is not COUNTqQUERYsTOTAL, such as 8q1s1k or q2k`},
		{"old grammar", "8s1k", `batch "8s1k": "8s1k" is not COUNTqQUERYsTOTAL, such as 8q1s1k or q2k`},
		{"trailing", "q1s8_", `batch "q1s8_": "" is not COUNTqQUERYsTOTAL, such as 8q1s1k or q2k`},
		{"upper case", "Q1S8", `batch "Q1S8": "Q1S8" is not COUNTqQUERYsTOTAL, such as 8q1s1k or q2k`},
		{"no count", "0q1s8", `batch "0q1s8": count: "0" must be at least 1`},
		{"no query", "q0s8", `batch "q0s8": query: "0" must be at least 1`},
		{"short total", "q4s3", `batch "q4s3": "q4s3" has 3 tokens in total, fewer than its 4 query tokens`},
		{"huge", "q1s99999999k", `batch "q1s99999999k": total: "99999999k" is above 16777216`},
		{"too many", "9999999q1s8_9999999q1s8", `batch "9999999q1s8_9999999q1s8": more than 16777216 equal requests`},
		{"too long", strings.Repeat("q1_", 2000), `batch of 6000 characters is too long`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseBatch(tt.text)
			if err == nil {
				t.Fatalf("accepted as %v", got)
			}
			if err.Error() != tt.want {
				t.Errorf("got  %s\nwant %s", err, tt.want)
			}
		})
	}
}

func TestParseBatches(t *testing.T) {
	got, err := ParseBatches("--shape", "8q1s1k, q2k")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Batch{{{8, 1, 1024}}, {{1, 2048, 2048}}}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if _, err := ParseBatches("--shape", "8q1s1k,x"); err == nil || !strings.HasPrefix(err.Error(), "--shape: ") {
		t.Errorf("error %v does not name the flag", err)
	}
}

func FuzzParseBatch(f *testing.F) {
	for _, seed := range []string{"q2k", "8q1s1k", "2q2k_32q1s1k", "q4s1k", "1q1s1", "16384kq1", "q1s16384k", "_", "q", "8q1s", "q1s1k_q1s1024", "007q1s08"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b, err := ParseBatch(text)
		if err != nil {
			return
		}
		again, err := ParseBatch(b.String())
		if err != nil {
			t.Fatalf("%q is written as %q, which is refused: %v", text, b, err)
		}
		if diff := cmp.Diff(b, again); diff != "" {
			t.Fatalf("%q is written as %q, which differs:\n%s", text, b, diff)
		}
		if again.String() != b.String() {
			t.Fatalf("%q is written as %q and then as %q", text, b, again)
		}
		if n := b.queryTokens(); n < 1 {
			t.Fatalf("%q has %d query tokens", text, n)
		}
	})
}
