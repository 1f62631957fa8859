package score

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseMetrics(t *testing.T) {
	tests := []struct {
		name  string
		specs []string
		want  []string // name and spec
	}{
		{"none", nil, nil},
		{"one", []string{"exact"}, []string{"exact exact"}},
		{"several", []string{"exact, normalized ,perplexity"}, []string{"exact exact", "normalized normalized", "perplexity perplexity"}},
		{"several flags", []string{"exact", "choice,choice-norm"}, []string{"exact exact", "choice choice", "choice-norm choice-norm"}},
		{"parameters", []string{"numeric:tol=0.01:rel=1e-3"}, []string{"numeric numeric:tol=0.01:rel=1e-3"}},
		{"comma in a repetition", []string{`regex:^\d{1,3}$,exact`}, []string{`regex regex:^\d{1,3}$`, "exact exact"}},
		{"comma in a class", []string{`regex:[,(],exact`}, []string{`regex regex:[,(]`, "exact exact"}},
		{"comma in a group", []string{`regex:(a,b),exact`}, []string{`regex regex:(a,b)`, "exact exact"}},
		{"escaped comma", []string{`regex:a\,b,exact`}, []string{`regex regex:a\,b`, "exact exact"}},
		{"colon in a pattern", []string{`regex:a:b=c`}, []string{`regex regex:a:b=c`}},
		{"names", []string{`first=regex:a,second=regex:b`}, []string{"first first=regex:a", "second second=regex:b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			all, err := ParseMetrics(tt.specs...)
			if err != nil {
				t.Fatal(err)
			}
			var got, specs []string
			for _, m := range all {
				got, specs = append(got, m.Name()+" "+m.Spec()), append(specs, m.Spec())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			again, err := ParseMetrics(specs...)
			if err != nil || len(again) != len(all) {
				t.Errorf("again: %d metrics, %v", len(again), err)
			}
		})
	}
}

func TestParseMetrics_Errors(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.json")
	if err := os.WriteFile(bad, []byte(`{"type": "thing"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, spec, want string }{
		{"empty", "", `metric "": there is no "": choose from exact, normalized, contains, numeric, regex, json-schema, choice, choice-norm, perplexity`},
		{"trailing comma", "exact,", `metric "": there is no "": choose from exact, normalized, contains, numeric, regex, json-schema, choice, choice-norm, perplexity`},
		{"unknown", "exat", `metric "exat": there is no "exat": choose from exact, normalized, contains, numeric, regex, json-schema, choice, choice-norm, perplexity`},
		{"parameter", "exact:1", `metric "exact:1": it takes no parameter, got "1"`},
		{"nothing after the colon", "regex:", `metric "regex:": nothing after the colon`},
		{"tolerance", "numeric:0.01", `metric "numeric:0.01": the parameters are tol=X and rel=Y, got "0.01"`},
		{"no number", "numeric:tol=much", `metric "numeric:tol=much": tol is "much", want a number of 0 or above, such as 0.01`},
		{"negative", "numeric:rel=-1", `metric "numeric:rel=-1": rel is "-1", want a number of 0 or above, such as 0.01`},
		{"NaN", "numeric:rel=NaN", `metric "numeric:rel=NaN": rel is "NaN", want a number of 0 or above, such as 0.01`},
		{"infinite", "numeric:tol=Inf", `metric "numeric:tol=Inf": tol is "Inf", want a number of 0 or above, such as 0.01`},
		{"too large", "numeric:tol=1e999999999", `metric "numeric:tol=1e999999999": tol is "1e999999999", want a number of 0 or above, such as 0.01`},
		{"twice the tolerance", "numeric:tol=1:tol=2", `metric "numeric:tol=1:tol=2": tol is given twice`},
		{"pattern", "regex:(", "metric \"regex:(\": error parsing regexp: missing closing ): `(`"},
		{"case", "contains:nocase", `metric "contains:nocase": the parameter is ignore-case, got "nocase"`},
		{"no file", "json-schema:/nowhere.json", `metric "json-schema:/nowhere.json": open /nowhere.json: no such file or directory`},
		{"twice", "regex:a,regex:b", `metrics "regex:a" and "regex:b" are both named regex: give one another name, as in second=regex:b`},
		{"renamed perplexity", "ppl=perplexity", `metric "ppl=perplexity": perplexity keeps its name: its rows add up by tokens, which other metrics' do not`},
		{"other perplexity", "perplexity=exact", `metric "perplexity=exact": perplexity keeps its name: its rows add up by tokens, which other metrics' do not`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseMetrics(tt.spec)
			if err == nil || err.Error() != tt.want {
				t.Errorf("%v\nwant %s", err, tt.want)
			}
		})
	}
	_, err := ParseMetrics("json-schema:" + bad)
	if err == nil || !strings.Contains(err.Error(), bad+" is no JSON schema: ") {
		t.Errorf("bad schema: %v", err)
	}
}

func TestHelpNamesEveryMetric(t *testing.T) {
	if n := strings.Count(Help(), "\n"); n != len(kinds) {
		t.Errorf("%d lines for %d metrics", n, len(kinds))
	}
}

func FuzzParseMetrics(f *testing.F) {
	for _, s := range []string{"exact,numeric:tol=1", `a=regex:[\],x]{1,2},contains`, `\`, "[", "=:,"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, spec string) {
		if strings.Contains(spec, "json-schema:") {
			t.Skip("names a file")
		}
		all, err := ParseMetrics(spec)
		if err != nil {
			return
		}
		var specs []string
		for _, m := range all {
			specs = append(specs, m.Spec())
		}
		again, err := ParseMetrics(strings.Join(specs, ","))
		if err != nil || len(again) != len(all) {
			t.Errorf("%q: %d metrics, read again %d: %v", spec, len(all), len(again), err)
		}
	})
}
