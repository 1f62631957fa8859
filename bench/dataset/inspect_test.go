package dataset

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"stepbench/internal/golden"
)

func TestInspect(t *testing.T) {
	share := `[{"conversations":[{"value":"one three five"},{"value":"a b c d"}]},{"conversations":[{"value":"x"}]},{"conversations":[{"value":"zwölf"},{"value":"yes"}]}]`
	burst := burstHead + "10,m,100,10,0,l\n10,m,200,20,0,l\n10.5,m,300,0,0,l\n12,m,400,40,0,l\n20,m,500,50,0,l\n"
	tests := []struct {
		name, file, content string
		kind                Kind
		most                int
		tokenise            Tokenise
	}{
		{"text", "s.json", share, KindShareGPT, 100, nil},
		{"tokens", "s.json", share, KindShareGPT, 100, words},
		{"trace", "b.csv", burst, KindBurstGPT, 100, nil},
		{"some", "b.csv", burst, KindBurstGPT, 2, nil},
		{"nothing", "x.jsonl", "", KindC4, 100, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := Source{tt.kind, file(t, tt.file, tt.content)}
			got, err := Inspect(context.Background(), s, tt.most, tt.tokenise)
			if err != nil {
				t.Fatal(err)
			}
			got.Source.Path = tt.file
			var md, js bytes.Buffer
			if err := errors.Join(got.WriteMarkdown(&md), got.WriteJSON(&js)); err != nil {
				t.Fatal(err)
			}
			golden.Check(t, "testdata/inspect_"+tt.name+".md", md.Bytes())
			golden.Check(t, "testdata/inspect_"+tt.name+".json", js.Bytes())
		})
	}
}

func TestInspect_Errors(t *testing.T) {
	good := Source{KindJSONL, file(t, "x.jsonl", lines100(`{"prompt":"%d"}`))}
	ctx, cancel := context.WithCancelCause(context.Background())
	cause := errors.New("stop")
	cancel(cause)
	if _, err := Inspect(ctx, good, 10, nil); !errors.Is(err, cause) {
		t.Errorf("cancelled: %v", err)
	}
	broken := func(context.Context, []string) ([][]int32, error) { return nil, cause }
	if _, err := Inspect(context.Background(), good, 100, broken); !errors.Is(err, cause) {
		t.Errorf("tokeniser fails: %v", err)
	}
	bad := Source{KindJSONL, file(t, "y.jsonl", "{}")}
	if _, err := Inspect(context.Background(), bad, 10, nil); err == nil {
		t.Error("a malformed file passes")
	}
}
