package score

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"stepbench/bench/batch"
)

// exact is equality but for white space at both ends, which chat templates and
// tokenizers leave there.
func exact(row *batch.Row) (func(string) bool, error) {
	want, err := reference(row)
	want = strings.TrimSpace(want)
	return func(text string) bool { return strings.TrimSpace(text) == want }, err
}

// normalized is equality after normalize.
func normalized(row *batch.Row) (func(string) bool, error) {
	want, err := reference(row)
	want = normalize(want)
	return func(text string) bool { return normalize(text) == want }, err
}

// normalize is the normalisation of SQuAD's evaluation script (Rajpurkar et al.
// 2016, normalize_answer): lower case, no punctuation, none of the articles a,
// an and the, single spaces. As in MLQA's (Lewis et al. 2020) punctuation is
// ASCII's and all of Unicode's category P. Letters with marks are composed (NFC),
// so that é is é.
func normalize(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsPunct(r) || strings.ContainsRune("$+<=>^`|~", r) {
			return -1
		}
		return r
	}, strings.ToLower(norm.NFC.String(text)))
	words := strings.Fields(text)
	kept := words[:0]
	for _, w := range words {
		if w != "a" && w != "an" && w != "the" {
			kept = append(kept, w)
		}
	}
	return strings.Join(kept, " ")
}

// contains looks for the reference in the text.
func contains(ignoreCase bool) func(*batch.Row) (func(string) bool, error) {
	return func(row *batch.Row) (func(string) bool, error) {
		want, err := reference(row)
		if err == nil && strings.TrimSpace(want) == "" {
			err = errors.New("the row's reference is empty, which any text contains")
		}
		want = strings.TrimSpace(want)
		if ignoreCase {
			want = strings.ToLower(want)
			return func(text string) bool { return strings.Contains(strings.ToLower(text), want) }, err
		}
		return func(text string) bool { return strings.Contains(text, want) }, err
	}
}

// matches looks for the pattern anywhere in the text, or for the one in the
// row's reference if pattern is nil. Patterns are RE2's: their time is linear in
// the text, whatever they are.
func matches(pattern *regexp.Regexp) func(*batch.Row) (func(string) bool, error) {
	if pattern != nil {
		return func(*batch.Row) (func(string) bool, error) { return pattern.MatchString, nil }
	}
	var cached last[*regexp.Regexp]
	return func(row *batch.Row) (func(string) bool, error) {
		text, err := reference(row)
		if err != nil {
			return nil, err
		}
		re, err := cached.get(text, regexp.Compile)
		if err != nil {
			return nil, fmt.Errorf("the row's reference is no pattern: %w", err)
		}
		return re.MatchString, nil
	}
}
