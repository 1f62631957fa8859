package engine_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"stepbench/engine"
)

func TestTokenise(t *testing.T) {
	t.Parallel()
	r := open(t, tiny("tokenise"), onFakeVLLM(t))
	got, err := engine.Tokenise(t.Context(), r, []string{"ab", "", "ü"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][]int32{{97, 98}, {}, {0xc3, 0xbc}}, got); diff != "" {
		t.Errorf("token ids (-want +got):\n%s", diff)
	}
}

func TestTokenise_WithoutTokenizer(t *testing.T) {
	t.Parallel()
	cfg := tiny("tokenise")
	cfg.SkipTokenizer = true
	_, err := engine.Tokenise(t.Context(), open(t, cfg, onFakeVLLM(t)), []string{"ab"})
	wantPython(t, err, "ValueError", "the engine was opened without a tokenizer", "do_tokenise")
}
