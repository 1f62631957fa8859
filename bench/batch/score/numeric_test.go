package score

import (
	"strings"
	"testing"
)

func TestLastNumber(t *testing.T) {
	tests := []struct {
		name, text, want string // want as a fraction; empty: no number
	}{
		{"empty", "", ""},
		{"none", "I do not know.", ""},
		{"plain", "42", "42"},
		{"last of several", "2 + 3 = 5.", "5"},
		{"decimals", "about 3.25 m", "13/4"},
		{"leading point", "it is .5", "1/2"},
		{"trailing point", "The answer is 18.", "18"},
		{"negative", "it fell by -7", "-7"},
		{"Unicode minus", "it fell by −7", "-7"},
		{"plus", "+7", "7"},
		{"range", "10-5", "5"},
		{"years", "2020-2021", "2021"},
		{"minus after bracket", "(3)-4", "4"},
		{"sign after a space", "3 -4", "-4"},
		{"thousands", "1,234,567", "1234567"},
		{"thousands and decimals", "$1,234.50", "2469/2"},
		{"negative money", "-$5", "-5"},
		{"money, then sign", "$-5", "-5"},
		{"euro", "€20", "20"},
		{"Swiss", "1'234", "1234"},
		{"narrow spaces", "1\u202f234\u202f567", "1234567"},
		{"no-break spaces", "1\u00a0234", "1234"},
		{"a plain space separates", "in 2020 500", "500"},
		{"Indian", "12,34,567", "1234567"},
		{"a list", "1,2,3", "3"},
		{"too long a group", "1,2345", "2345"},
		{"too long a first group", "2345,123", "123"},
		{"exponent", "6.02e23", "602000000000000000000000"},
		{"negative exponent", "5E-3", "1/200"},
		{"no exponent", "5e", "5"},
		{"huge exponent", "1e9999999", ""},
		{"huge exponent last", "7 or 1e99999", "7"},
		{"percent", "50%", "50"},
		{"percent after a space", "50 %", "50"},
		{"fraction is not computed", "1/2", "2"},
		{"version", "3.14.15", "157/50"},
		{"NaN", "NaN", ""},
		{"infinity", "Infinity -inf", ""},
		{"name", "5 times B12", "5"},
		{"name with a hyphen", "COVID-19", "19"},
		{"after ideographs", "答案是42。", "42"},
		{"full width", "答えは４２％", "42"},
		{"Markdown", "**42**", "42"},
		{"emphasis", "_42_", "42"},
		{"LaTeX", `\boxed{42}`, "42"},
		{"GSM8K", "3*4 = <<3*4=12>>12\n#### 12", "12"},
		{"GSM8K, talk after it", "#### 12 (of 20)", "12"},
		{"GSM8K, twice", "#### 12\n#### 1,300", "1300"},
		{"GSM8K, money", "#### $-1,300.", "-1300"},
		{"GSM8K, nothing after the mark", "12 ####", ""},
		{"beyond 2^53", "9007199254740993", "9007199254740993"},
		{"many digits", strings.Repeat("1", 401), ""},
		{"many digits, then one", strings.Repeat("1", 5000) + " 2", "2"},
		{"very long text", strings.Repeat("word 1 ", 20_000) + "3", "3"},
		{"broken UTF-8", "\xff5\xff", "5"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if n, ok := lastNumber(tt.text); ok {
				got = n.value.RatString()
			}
			if got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func FuzzLastNumber(f *testing.F) {
	for _, s := range []string{"1,234.5e-7 %", "#### -$5", "１２", "1'2'3", "\xff.5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, ok := lastNumber(text)
		if ok != (n.value != nil) {
			t.Fatalf("ok %v, value %v", ok, n.value)
		}
		// What is read stays read when it is the only thing there.
		if ok && n.value.IsInt() && n.value.Num().BitLen() < 1000 {
			if again, _ := lastNumber("= " + n.value.Num().String()); again.value.Cmp(n.value) != 0 {
				t.Errorf("%v read again is %v", n.value, again.value)
			}
		}
		if ok && !(tolerance{}).within(n.value, n.value) {
			t.Errorf("%v differs from itself", n.value)
		}
	})
}
