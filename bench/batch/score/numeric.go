package score

import (
	"errors"
	"math/big"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"stepbench/bench/batch"
)

// tolerance is how far a number may be from the reference: by abs, or by rel
// times the reference. Nil is nothing.
type tolerance struct{ abs, rel *big.Rat }

// within compares exactly, in fractions: 0.1 is a tenth, and integers have no
// largest one that counts.
func (t tolerance) within(got, want *big.Rat) bool {
	off := new(big.Rat).Sub(got, want)
	off.Abs(off)
	if off.Sign() == 0 || t.abs != nil && off.Cmp(t.abs) <= 0 {
		return true
	}
	if t.rel == nil {
		return false
	}
	limit := new(big.Rat).Mul(t.rel, want)
	return off.Cmp(limit.Abs(limit)) <= 0
}

// numeric compares the number that the text ends on with the reference's.
//
// If one of the two is a percentage and the other is not, 50 % equals both 50
// and 0.5: references leave out the sign, and answers the conversion.
func numeric(within tolerance) func(*batch.Row) (func(string) bool, error) {
	return func(row *batch.Row) (func(string) bool, error) {
		text, err := reference(row)
		if err != nil {
			return nil, err
		}
		want, ok := lastNumber(text)
		if !ok {
			return nil, errors.New("the row's reference has no number")
		}
		return func(text string) bool {
			got, ok := lastNumber(text)
			if !ok {
				return false
			}
			return within.within(got.value, want.value) ||
				got.percent != want.percent && within.within(got.fraction(), want.fraction())
		}, nil
	}
}

// number is a number as written, and whether a percent sign follows it.
type number struct {
	value   *big.Rat
	percent bool
}

// fraction is the number with the percent sign taken at its word.
func (n number) fraction() *big.Rat {
	if !n.percent {
		return n.value
	}
	return new(big.Rat).Quo(n.value, big.NewRat(100, 1))
}

// A number is sign, currency, digits that separators may group, decimals,
// exponent, percent sign.
var numbers = regexp.MustCompile(`([-+]?)[$€£¥]?([-+]?)` +
	`([0-9]+(?:[` + separators + `][0-9]+)*(?:\.[0-9]+)?|\.[0-9]+)` +
	`([eE][-+]?[0-9]+)?(?:[ \x{a0}\x{202f}]?(%))?`)

// separators group digits: comma, apostrophes, and spaces that do not break.
const separators = ",'’\u00a0\u202f\u2009"

// grouped are digits in groups of three or, as in India, of two and then three.
var grouped = regexp.MustCompile(`^(?:[0-9]{1,3}(?:[` + separators + `][0-9]{3})+|[0-9]{1,2}(?:,[0-9]{2})*,[0-9]{3})(?:\.[0-9]+)?$`)

const (
	// maxDigits is the longest number read. A model stuck on a digit has not
	// answered, and the arithmetic on it would not end.
	maxDigits = 400
	// maxExponentDigits is float64's.
	maxExponentDigits = 3
)

// lastNumber finds the number that a text answers with. After GSM8K's (Cobbe et
// al. 2021) mark "####" that is the first one after the last mark; without a
// mark, the last one of the text, as lm-evaluation-harness's flexible-extract
// for GSM8K has it.
//
// A dash is a sign only where no digit, letter or bracket is right before it:
// 10-5 ends on 5. Digits right behind a Latin letter are part of a name, as in
// B12. Digits with commas that do not group them are several numbers. Fractions
// and powers are not computed: 1/2 ends on 2.
func lastNumber(text string) (n number, ok bool) {
	text = plainDigits(text)
	marked := false
	if at := strings.LastIndex(text, "####"); at >= 0 {
		text, marked = text[at+len("####"):], true
	}
	for at := 0; at < len(text) && !(marked && ok); {
		m := numbers.FindStringSubmatchIndex(text[at:])
		if m == nil {
			break
		}
		group := func(i int) string {
			if m[2*i] < 0 {
				return ""
			}
			return text[at+m[2*i] : at+m[2*i+1]]
		}
		sign, inner, digits, exponent, percent := group(1), group(2), group(3), group(4), group(5)
		before, _ := utf8.DecodeLastRuneInString(text[:at+m[0]])
		next := at + m[1]
		if first := strings.IndexAny(digits, separators); first >= 0 && !grouped.MatchString(digits) {
			next = at + m[6] + first
			digits, exponent, percent = digits[:first], "", ""
		}
		at = next
		letter := before < utf8.RuneSelf && unicode.IsLetter(before)
		digit := unicode.IsDigit(before)
		switch {
		case letter && sign+inner == "", digit && digits[0] == '.':
			continue
		case letter || digit || before == ')':
			sign = "" // a hyphen or minus between two
		}
		if sign == "" {
			sign = inner
		}
		if value, valid := rational(sign, digits, exponent); valid {
			n, ok = number{value, percent != ""}, true
		}
	}
	return n, ok
}

func rational(sign, digits, exponent string) (*big.Rat, bool) {
	if len(digits) > maxDigits || len(strings.TrimLeft(exponent, "eE+-")) > maxExponentDigits {
		return nil, false
	}
	plain := strings.Map(func(r rune) rune {
		if strings.ContainsRune(separators, r) {
			return -1
		}
		return r
	}, digits)
	return new(big.Rat).SetString(sign + plain + exponent)
}

// plainDigits writes full-width characters and the minus sign in ASCII.
func plainDigits(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= '！' && r <= '～':
			return r - '！' + '!'
		case r == '−':
			return '-'
		}
		return r
	}, text)
}
