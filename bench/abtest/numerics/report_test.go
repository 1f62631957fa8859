package numerics

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stepbench/internal/golden"
)

func TestReports(t *testing.T) {
	near := func(_ bool, s []Sequence) {
		for i := range s {
			shift(&s[i], 50, 1e-3*float64(i))
		}
	}
	flipped := onlyGenerated(func(s []Sequence) {
		for i := range s {
			shift(&s[i], 50, 2e-3)
		}
		swap(&s[2], 40, true)
	})
	far := func(scored bool, s []Sequence) {
		shift(&s[1], 50, -0.8)
		if !scored {
			swap(&s[3], 3, true)
			swap(&s[2], 5, true)
		}
	}
	nan := onlyGenerated(func(s []Sequence) {
		swap(&s[0], 0, true)
		s[0].Logprobs[0], s[0].TopLogprobs[0] = math.NaN(), math.NaN()
	})
	floors := Floors{Pairs: 3, MeanAbs: 1.5e-4, MaxAbs: 0.021, KL: 2.5e-6}
	logits := func(a Answers) Answers {
		a.Generated.Kind, a.Scored.Kind = Logits, Logits
		return a
	}
	noScore := answers(4, 50, nil)
	noScore.Scored = nil
	for _, c := range []struct {
		name  string
		b     Answers
		rules Rules
	}{
		{"identical", answers(4, 50, nil), Rules{Floors: Floors{Pairs: 3, BitEqual: true}}},
		{"close", answers(4, 50, near), Rules{Floors: Floors{Pairs: 3, BitEqual: true}}},
		{"flipped", answers(4, 50, flipped), Rules{Floors: floors}},
		{"differs", answers(4, 50, far), Rules{}},
		{"weak", logits(answers(4, 50, far)), Rules{RandomWeights: true}},
		{"nan", logits(answers(4, 50, nan)), Rules{RandomWeights: true}},
		{"decode_only", noScore, Rules{}},
		{"not_checked", Answers{}, Rules{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := answers(4, 50, nil)
			if c.rules.RandomWeights {
				a = logits(a)
			}
			r := Compare(a, c.b, c.rules)
			golden.Check(t, "testdata/"+c.name+".md", []byte(r.Markdown()))
			text, err := json.MarshalIndent(r, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden.Check(t, "testdata/"+c.name+".json", append(text, '\n'))
			var back Report
			if err := json.Unmarshal(text, &back); err != nil {
				t.Fatal(err)
			}
			sameNumber := cmp.Comparer(func(x, y Number) bool {
				return x == y || math.IsNaN(float64(x)) && math.IsNaN(float64(y))
			})
			if diff := cmp.Diff(r, back, sameNumber); diff != "" {
				t.Errorf("read back (-want +got)\n%s", diff)
			}
		})
	}
}

func TestNumberJSON(t *testing.T) {
	for _, c := range []struct {
		text string
		want float64
	}{{"-0.25", -0.25}, {`"NaN"`, math.NaN()}, {`"-Inf"`, math.Inf(-1)}, {`"+Inf"`, math.Inf(1)}} {
		var x Number
		if err := json.Unmarshal([]byte(c.text), &x); err != nil {
			t.Errorf("%s: %v", c.text, err)
		}
		if v := float64(x); v != c.want && !(math.IsNaN(v) && math.IsNaN(c.want)) {
			t.Errorf("%s: read %g", c.text, v)
		}
		if text, err := json.Marshal(x); err != nil || string(text) != c.text {
			t.Errorf("%s: wrote %s, %v", c.text, text, err)
		}
	}
	var x Number
	if err := json.Unmarshal([]byte(`"high"`), &x); err == nil {
		t.Error("a word was read as a number")
	}
}
