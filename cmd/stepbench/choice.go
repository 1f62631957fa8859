package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// oneOf is the value of a flag that names one of a few things. A flag that was not
// given is empty, which is none of them but no error where there is no default.
func oneOf[T ~string](c *cli.Context, flag string, choices ...T) (T, error) {
	value := T(c.String(flag))
	if value == "" && !c.IsSet(flag) || slices.Contains(choices, value) {
		return value, nil
	}
	return "", fmt.Errorf("--%s %q: want one of %s", flag, string(value), list(choices))
}

func list[T ~string](choices []T) string {
	var names []string
	for _, c := range choices {
		names = append(names, string(c))
	}
	return strings.Join(names, ", ")
}

// summaryFormats are those of tables that are no results of their own.
var summaryFormats = []string{"md", "json"}
