package score

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"stepbench/bench/batch"
)

// validates checks that the text, or a Markdown fence that is the whole text, is
// one JSON value under the schema, or under that in the row's reference if
// schema is nil.
func validates(schema *jsonschema.Schema) func(*batch.Row) (func(string) bool, error) {
	if schema != nil {
		return func(*batch.Row) (func(string) bool, error) { return under(schema), nil }
	}
	var cached last[*jsonschema.Schema]
	return func(row *batch.Row) (func(string) bool, error) {
		text, err := reference(row)
		if err != nil {
			return nil, err
		}
		schema, err := cached.get(text, compileSchema)
		if err != nil {
			return nil, fmt.Errorf("the row's reference is no JSON schema: %w", err)
		}
		return under(schema), nil
	}
}

func under(schema *jsonschema.Schema) func(string) bool {
	return func(text string) bool {
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(unfenced(text)))
		return err == nil && finite(value) && schema.Validate(value) == nil
	}
}

// unfenced is what a Markdown fence holds if the text is nothing else, or the
// text.
func unfenced(text string) string {
	text = strings.TrimSpace(text)
	for _, mark := range []string{"```", "~~~"} {
		inner, opened := strings.CutPrefix(text, mark)
		inner, closed := strings.CutSuffix(inner, mark)
		if !opened || !closed {
			continue
		}
		// The rest of the first line names the language.
		if _, body, ok := strings.Cut(inner, "\n"); ok {
			return body
		}
	}
	return text
}

// finite refuses numbers beyond float64's, on which exact arithmetic would not
// end.
func finite(value any) bool {
	switch v := value.(type) {
	case json.Number:
		_, err := strconv.ParseFloat(v.String(), 64)
		return err == nil && len(v) <= maxDigits
	case []any:
		for _, e := range v {
			if !finite(e) {
				return false
			}
		}
	case map[string]any:
		for _, e := range v {
			if !finite(e) {
				return false
			}
		}
	}
	return true
}

// noLoader keeps schemas from reading files or the network: those of rows are
// data.
type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, errors.New("refers to " + url + ": put the definitions into the schema itself")
}

func compileSchema(text string) (*jsonschema.Schema, error) {
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	if !finite(value) {
		return nil, errors.New("has a number beyond the range of float64")
	}
	const name = "schema.json"
	c := jsonschema.NewCompiler()
	c.UseLoader(noLoader{})
	if err := c.AddResource(name, value); err != nil {
		return nil, err
	}
	return c.Compile(name)
}

func readSchema(path string) (*jsonschema.Schema, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	schema, err := compileSchema(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s is no JSON schema: %w", path, err)
	}
	return schema, nil
}
