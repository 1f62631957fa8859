package score

import (
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"strconv"
	"strings"
)

// kinds are the metrics there are, in the order of Help.
var kinds = []struct {
	name, parameter, help string
	make                  func(parameter string) (judge, error)
}{
	{"exact", "", "equal to the reference, white space at both ends aside", plain(ofText(exact))},
	{"normalized", "", "equal without case, punctuation, articles and white space, as SQuAD's", plain(ofText(normalized))},
	{"contains", "[:ignore-case]", "holds the reference", parseContains},
	{"numeric", "[:tol=X][:rel=Y]", "the last number is the reference's, to within X or Y times it", parseNumeric},
	{"regex", "[:PATTERN]", "matches the pattern, or that in the reference; a comma outside brackets is \\,", parseRegex},
	{"json-schema", "[:FILE]", "JSON under the schema, or under that in the reference", parseSchema},
	{"choice", "", "the likeliest option is the right one (acc)", plain(choice)},
	{"choice-norm", "", "the same per character of the option (acc_norm)", plain(choiceNorm)},
	{Perplexity, "", "exp of minus the mean logprob of the prompt's tokens; less is better", plain(perplexity)},
}

// Help describes the metrics, a line each.
func Help() string {
	var b strings.Builder
	for _, k := range kinds {
		fmt.Fprintf(&b, "%-24s %s\n", k.name+k.parameter, k.help)
	}
	return b.String()
}

var (
	named        = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9_-]*)=`)
	errKeepsName = errors.New(Perplexity + " keeps its name: its rows add up by tokens, which other metrics' do not")
)

// ParseMetrics reads metrics, several to a spec with commas between them:
// "exact,numeric:tol=0.01,regex:^\d{1,3}$". Commas in brackets or after a
// backslash are a pattern's own. NAME=SPEC gives a metric a name of its own,
// which two of a kind need.
func ParseMetrics(specs ...string) ([]Metric, error) {
	var all []Metric
	seen := map[string]string{}
	for _, list := range specs {
		for _, spec := range split(list) {
			m, err := parse(strings.TrimSpace(spec))
			if err != nil {
				return nil, fmt.Errorf("metric %q: %w", spec, err)
			}
			if other, twice := seen[m.name]; twice {
				return nil, fmt.Errorf("metrics %q and %q are both named %s: give one another name, as in second=%s", other, m.spec, m.name, m.spec)
			}
			seen[m.name] = m.spec
			all = append(all, m)
		}
	}
	return all, nil
}

func parse(spec string) (Metric, error) {
	name, rest := "", spec
	if m := named.FindStringSubmatch(spec); m != nil {
		name, rest = m[1], spec[len(m[0]):]
	}
	kind, parameter, given := strings.Cut(rest, ":")
	for _, k := range kinds {
		if k.name != kind {
			continue
		}
		if given && parameter == "" {
			return Metric{}, errors.New("nothing after the colon")
		}
		if name == "" {
			name = kind
		}
		if (name == Perplexity) != (kind == Perplexity) {
			return Metric{}, errKeepsName
		}
		judge, err := k.make(parameter)
		return Metric{name, spec, judge}, err
	}
	var known []string
	for _, k := range kinds {
		known = append(known, k.name)
	}
	return Metric{}, fmt.Errorf("there is no %q: choose from %s", kind, strings.Join(known, ", "))
}

// split cuts a list at its commas but those in brackets or behind a backslash.
func split(list string) (specs []string) {
	start, depth, class := 0, 0, false
	for i := 0; i < len(list); i++ {
		switch c := list[i]; {
		case c == '\\':
			i++
		case class: // in [ ] only the end counts
			class = c != ']'
		case c == '[':
			class = true
		case c == '(' || c == '{':
			depth++
		case c == ')' || c == '}':
			depth--
		case c == ',' && depth <= 0:
			specs = append(specs, list[start:i])
			start = i + 1
		}
	}
	return append(specs, list[start:])
}

// plain is for a metric without parameters.
func plain(j judge) func(string) (judge, error) {
	return func(parameter string) (judge, error) {
		if parameter != "" {
			return nil, fmt.Errorf("it takes no parameter, got %q", parameter)
		}
		return j, nil
	}
}

func parseContains(parameter string) (judge, error) {
	if parameter != "" && parameter != "ignore-case" {
		return nil, fmt.Errorf("the parameter is ignore-case, got %q", parameter)
	}
	return ofText(contains(parameter != "")), nil
}

func parseNumeric(parameter string) (judge, error) {
	var t tolerance
	for _, p := range strings.Split(parameter, ":") {
		if parameter == "" {
			break
		}
		key, text, _ := strings.Cut(p, "=")
		into := map[string]**big.Rat{"tol": &t.abs, "rel": &t.rel}[key]
		if into == nil {
			return nil, fmt.Errorf("the parameters are tol=X and rel=Y, got %q", p)
		}
		if *into != nil {
			return nil, fmt.Errorf("%s is given twice", key)
		}
		// ParseFloat first: it refuses fractions, and what is out of range.
		v, err := strconv.ParseFloat(text, 64)
		r, exact := new(big.Rat).SetString(text)
		if err != nil || !exact || v < 0 {
			return nil, fmt.Errorf("%s is %q, want a number of 0 or above, such as 0.01", key, text)
		}
		*into = r
	}
	return ofText(numeric(t)), nil
}

func parseRegex(parameter string) (judge, error) {
	if parameter == "" {
		return ofText(matches(nil)), nil
	}
	re, err := regexp.Compile(parameter)
	if err != nil {
		return nil, err
	}
	return ofText(matches(re)), nil
}

func parseSchema(parameter string) (judge, error) {
	if parameter == "" {
		return ofText(validates(nil)), nil
	}
	schema, err := readSchema(parameter)
	if err != nil {
		return nil, err
	}
	return ofText(validates(schema)), nil
}
