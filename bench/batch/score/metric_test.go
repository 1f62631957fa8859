package score

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stepbench/bench/batch"
)

func parsed(t *testing.T, spec string) Metric {
	t.Helper()
	all, err := ParseMetrics(spec)
	if err != nil {
		t.Fatal(err)
	}
	return all[0]
}

func answer(text string) *batch.Result {
	return &batch.Result{Choices: []batch.Choice{{Text: text, Finish: "stop"}}}
}

func referenced(text string) *batch.Row { return &batch.Row{Reference: text, HasReference: true} }

func TestTextMetrics(t *testing.T) {
	long := strings.Repeat("lorem ipsum ", 50_000)
	tests := []struct {
		name, metric, reference, text string
		want                          float64
	}{
		{"exact", "exact", "Paris", "Paris", 1},
		{"exact, space around", "exact", "Paris", " Paris\n", 1},
		{"exact, case", "exact", "Paris", "paris", 0},
		{"exact, empty reference", "exact", "", " \n", 1},
		{"exact, empty answer", "exact", "Paris", "", 0},
		{"exact, very long", "exact", long, long, 1},
		{"exact, other form of é", "exact", "caf\u00e9", "cafe\u0301", 0},
		{"normalized, case and articles", "normalized", "The Eiffel Tower", "eiffel tower.", 1},
		{"normalized, article inside a word", "normalized", "theatre", "atre", 0},
		{"normalized, punctuation joins", "normalized", "well-known", "wellknown", 1},
		{"normalized, ASCII symbols go", "normalized", "$5 + 3", "5 3", 1},
		{"normalized, other symbols stay", "normalized", "5 €", "5", 0},
		{"normalized, typographic quotes", "normalized", `"Paris"`, "“Paris”", 1},
		{"normalized, ideographic stop", "normalized", "東京", "東京。", 1},
		{"normalized, form of é", "normalized", "caf\u00e9", "CAFE\u0301", 1},
		{"normalized, white space", "normalized", "new york", "new\t\u00a0 york\n", 1},
		{"normalized, only articles", "normalized", "the", "a", 1},
		{"normalized, very long", "normalized", long, "The " + long, 1},
		{"contains", "contains", "42", "It is 42, I think.", 1},
		{"contains, case", "contains", "paris", "Paris", 0},
		{"contains, ignoring case", "contains:ignore-case", "ÉCOLE", "une école", 1},
		{"contains, not", "contains", "43", "It is 42.", 0},
		{"regex in the metric", `regex:^\d{1,3}$`, "", "123", 1},
		{"regex finds anywhere", `regex:\d`, "", "a1b", 1},
		{"regex, not", `regex:^\d{1,3}$`, "", "1234", 0},
		{"regex in the reference", "regex", `(?i)paris|lyon`, "LYON", 1},
		{"regex, nested repetition ends", `regex:^(a+)+$`, "", strings.Repeat("a", 50_000) + "!", 0},
		{"numeric", "numeric", "#### 1,200", "So it is $1,200.00.", 1},
		{"numeric, no number", "numeric", "3", "three", 0},
		{"numeric, tenth", "numeric", "0.1", "0.10", 1},
		{"numeric, not exact", "numeric", "0.3", "0.30000000000000004", 0},
		{"numeric, absolute", "numeric:tol=0.01", "3.14", "3.15", 1},
		{"numeric, absolute not", "numeric:tol=0.01", "3.14", "3.1501", 0},
		{"numeric, relative", "numeric:rel=0.1", "-100", "-110", 1},
		{"numeric, relative not", "numeric:rel=0.1", "-100", "-89", 0},
		{"numeric, either", "numeric:tol=1:rel=0.1", "1", "2", 1},
		{"numeric, relative of zero", "numeric:rel=0.5", "0", "0.1", 0},
		{"numeric, beyond 2^53", "numeric", "9007199254740993", "9007199254740992", 0},
		{"numeric, percent both", "numeric", "50%", "50 %", 1},
		{"numeric, percent converted", "numeric", "0.5", "50%", 1},
		{"numeric, percent left out", "numeric", "50", "50%", 1},
		{"numeric, percent of percent", "numeric", "50%", "0.5%", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, row, res := parsed(t, tt.metric), referenced(tt.reference), answer(tt.text)
			if got, ok := m.Score(row, res); !ok || got != tt.want {
				t.Errorf("%v, %v; want %v", got, ok, tt.want)
			}
			if err := m.Check(row); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestNoScore(t *testing.T) {
	option := func(ll float64) batch.Choice { return batch.Choice{Finish: "option", LogLikelihood: ll} }
	options := func(answer int, texts ...string) *batch.Row { return &batch.Row{Options: texts, Answer: answer} }
	tests := []struct {
		name, metric string
		row          *batch.Row
		res          *batch.Result
		check        string // what Check says of the row; empty: nothing
	}{
		{"failed", "exact", referenced("1"), &batch.Result{Failure: &batch.Failure{Code: "engine"}}, ""},
		{"no completion", "exact", referenced("1"), &batch.Result{}, ""},
		{"options only", "exact", referenced("1"), &batch.Result{Choices: []batch.Choice{option(-1)}}, ""},
		{"no reference", "exact", &batch.Row{}, answer("1"), "metric exact: the row has no reference"},
		{"empty reference", "contains", referenced(" "), answer("1"), "metric contains: the row's reference is empty, which any text contains"},
		{"no number in the reference", "numeric", referenced("many"), answer("1"), "metric numeric: the row's reference has no number"},
		{"bad pattern", "regex", referenced("("), answer("("), "metric regex: the row's reference is no pattern: error parsing regexp: missing closing ): `(`"},
		{"no pattern", "regex", &batch.Row{}, answer("("), "metric regex: the row has no reference"},
		{"no schema", "json-schema", &batch.Row{}, answer("{}"), "metric json-schema: the row has no reference"},
		{"bad schema", "json-schema", referenced("{"), answer("{}"), "metric json-schema: the row's reference is no JSON schema: unexpected EOF"},
		{"no options", "choice", &batch.Row{Answer: 0}, answer("A"), "metric choice: the row has fewer than two options"},
		{"no answer", "choice", options(-1, "a", "b"), &batch.Result{Choices: []batch.Choice{option(-1), option(-2)}}, "metric choice: the row has no answer"},
		{"answer out of range", "choice", options(2, "a", "b"), &batch.Result{}, "metric choice: the row's answer is option 2 of 2, counted from 0"},
		{"empty option", "choice-norm", options(0, "a", ""), &batch.Result{}, "metric choice-norm: the row's option 1, counted from 0, is empty"},
		{"an option missing", "choice", options(0, "a", "b"), &batch.Result{Choices: []batch.Choice{option(-1)}}, ""},
		{"generated instead", "choice", options(0, "a", "b"), &batch.Result{Choices: []batch.Choice{option(-1), {Finish: "stop"}}}, ""},
		{"NaN option", "choice", options(0, "a", "b"), &batch.Result{Choices: []batch.Choice{option(-1), option(math.NaN())}}, ""},
		{"no prompt logprobs", "perplexity", &batch.Row{}, answer("x"), ""},
		{"NaN logprob", "perplexity", &batch.Row{}, prompted(-1, math.NaN()), ""},
		{"-Inf logprob", "perplexity", &batch.Row{}, prompted(-1, math.Inf(-1)), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := parsed(t, tt.metric)
			if v, ok := m.Score(tt.row, tt.res); ok {
				t.Errorf("scored %v", v)
			}
			text := ""
			if err := m.Check(tt.row); err != nil {
				text = err.Error()
			}
			if diff := cmp.Diff(tt.check, text); diff != "" {
				t.Error(diff)
			}
			before, _ := json.Marshal(tt.res.Failure)
			Apply([]Metric{m}, tt.row, tt.res)
			if after, _ := json.Marshal(tt.res.Failure); tt.res.Scores != nil || string(before) != string(after) {
				t.Errorf("scores %v, failure %s", tt.res.Scores, after)
			}
		})
	}
	if _, ok := parsed(t, "exact").Score(nil, answer("1")); ok {
		t.Error("scored no row")
	}
}

func prompted(logprobs ...float64) *batch.Result {
	r := &batch.Result{PromptTokens: int32(len(logprobs) + 1)}
	for _, l := range logprobs {
		r.PromptLogprobs = append(r.PromptLogprobs, batch.TokenLogprob{Logprob: l})
	}
	return r
}

func TestLikelihoodMetrics(t *testing.T) {
	row := func(answer int) *batch.Row {
		return &batch.Row{Options: []string{"no", "certainly not", "日本"}, Answer: answer}
	}
	options := func(lls ...float64) *batch.Result {
		r := &batch.Result{}
		for _, ll := range lls {
			r.Choices = append(r.Choices, batch.Choice{Finish: "option", LogLikelihood: ll})
		}
		return r
	}
	tests := []struct {
		name, metric string
		row          *batch.Row
		res          *batch.Result
		want         float64
	}{
		{"likeliest", "choice", row(0), options(-2, -6.5, -3), 1},
		{"not likeliest", "choice", row(1), options(-2, -6.5, -3), 0},
		{"likeliest per character", "choice-norm", row(1), options(-2, -6.5, -3), 1}, // -1, -0.5, -1.5
		{"characters, not bytes", "choice-norm", row(2), options(-9, -60, -8), 1},    // -4.5, -4.6, -4 (bytes: -1.3)
		{"characters, not bytes: no", "choice-norm", row(2), options(-2, -60, -5), 0},
		{"first of equal ones", "choice", row(0), options(-2, -2, -2), 1},
		{"all impossible", "choice", row(0), options(math.Inf(-1), math.Inf(-1), math.Inf(-1)), 1},
		{"one impossible", "choice", row(1), options(math.Inf(-1), -5, -6), 1},
		{"perplexity", "perplexity", &batch.Row{}, prompted(-1, -3), math.Exp(2)},
		{"perplexity of certainty", "perplexity", &batch.Row{}, prompted(0, 0, 0), 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, ok := parsed(t, tt.metric).Score(tt.row, tt.res); !ok || math.Abs(got-tt.want) > 1e-12 {
				t.Errorf("%v, %v; want %v", got, ok, tt.want)
			}
		})
	}
}

func TestSeveralCompletions(t *testing.T) {
	res := &batch.Result{Choices: []batch.Choice{{Text: "1"}, {Text: "2"}, {Text: "1"}, {Text: ""}}}
	metrics, err := ParseMetrics("exact", "second=contains,numeric")
	if err != nil {
		t.Fatal(err)
	}
	Apply(metrics, referenced("1"), res)
	if diff := cmp.Diff(map[string]float64{"exact": 0.5, "second": 0.5, "numeric": 0.5}, res.Scores); diff != "" {
		t.Error(diff)
	}
}

func TestJSONSchema(t *testing.T) {
	const schema = `{
		"type": "object", "required": ["n"], "additionalProperties": false,
		"properties": {
			"n": {"type": "integer", "minimum": 1, "multipleOf": 3},
			"s": {"type": "string", "pattern": "^(a+)+$"},
			"list": {"type": "array", "uniqueItems": true}
		}
	}`
	path := filepath.Join(t.TempDir(), "schema.json")
	if err := os.WriteFile(path, []byte(schema), 0o644); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, text string
		want       float64
	}{
		{"valid", `{"n": 3}`, 1},
		{"space around", "\n {\"n\": 3} \n", 1},
		{"fence", "```json\n{\"n\": 3}\n```", 1},
		{"fence without a language", "```\n{\"n\": 3}\n```\n", 1},
		{"tildes", "~~~json\n{\"n\": 3}\n~~~", 1},
		{"fence and talk", "Here:\n```json\n{\"n\": 3}\n```", 0},
		{"fence left open", "```json\n{\"n\": 3}", 0},
		{"only a fence", "```", 0},
		{"empty fence", "```\n```", 0},
		{"two values", `{"n": 3} {"n": 3}`, 0},
		{"talk after", `{"n": 3} as you asked`, 0},
		{"wrong type", `{"n": "3"}`, 0},
		{"missing", `{}`, 0},
		{"additional", `{"n": 3, "x": 1}`, 0},
		{"multiple", `{"n": 4}`, 0},
		{"large multiple", `{"n": 300000000000000000000}`, 1},
		{"huge number", `{"n": 3e99999999}`, 0},
		{"tiny number", `{"n": 3e-99999999}`, 0},
		{"huge numbers in a list", `{"n": 3, "list": [1e400, 1e400]}`, 0},
		{"NaN", `{"n": NaN}`, 0},
		{"nested repetition ends", `{"n": 3, "s": "` + strings.Repeat("a", 20_000) + `!"}`, 0},
		{"deep", strings.Repeat("[", 1e5), 0},
		{"empty", "", 0},
		{"no JSON", "I can't do that.", 0},
		{"broken UTF-8", "{\"n\": 3, \"s\": \"\xff\"}", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, way := range []struct {
				spec string
				row  *batch.Row
			}{{"json-schema:" + path, &batch.Row{}}, {"json-schema", referenced(schema)}} {
				if got, ok := parsed(t, way.spec).Score(way.row, answer(tt.text)); !ok || got != tt.want {
					t.Errorf("%s: %v, %v; want %v", way.spec, got, ok, tt.want)
				}
			}
		})
	}
}

// A row's schema is data: it must reach neither files nor the network.
func TestSchemaReadsNothing(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "other.json")
	if err := os.WriteFile(secret, []byte(`{}`), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{"file://" + secret, "http://127.0.0.1:1/x.json", "other.json"} {
		err := parsed(t, "json-schema").Check(referenced(fmt.Sprintf(`{"$ref": %q}`, ref)))
		if err == nil || !strings.Contains(err.Error(), "put the definitions into the schema itself") {
			t.Errorf("%s: %v", ref, err)
		}
	}
}

func FuzzSchemaScore(f *testing.F) {
	metrics, err := ParseMetrics("json-schema")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(`{"type":"integer","minimum":0}`, "```\n1\n```")
	f.Add(`{"multipleOf":0.1,"uniqueItems":true}`, `[1.0, 1, 1e300]`)
	f.Add(`{"$ref":"#"}`, `{}`)
	f.Add(`{"const":1e308}`, `1e309`)
	f.Fuzz(func(t *testing.T, schema, text string) {
		v, ok := metrics[0].Score(referenced(schema), answer(text))
		if ok && v != 0 && v != 1 {
			t.Errorf("score %v", v)
		}
	})
}

// Metrics are shared by whatever goroutines score rows.
func TestMetricsAreConcurrent(t *testing.T) {
	metrics, err := ParseMetrics("regex,json-schema,numeric")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 200 {
				n := fmt.Sprint(100*g + i%3)
				if got, ok := metrics[1].Score(referenced(`{"const": `+n+`}`), answer(n)); !ok || got != 1 {
					t.Errorf("schema of another row used: %v, %v", got, ok)
				}
				pattern := fmt.Sprintf("^%d$", i)
				if got, ok := metrics[0].Score(referenced(pattern), answer(fmt.Sprint(i))); !ok || got != 1 {
					t.Errorf("pattern of another row used: %v, %v", got, ok)
				}
			}
		})
	}
	wg.Wait()
}
