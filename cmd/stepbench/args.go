package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// reorder moves flags in front of positional arguments, because cli stops
// looking for flags at the first one: "run gpt2.toml --out DIR" and
// "run --out DIR gpt2.toml" mean the same. Everything after "--" stays.
func reorder(app *cli.App, args []string) []string {
	at := slices.IndexFunc(args[min(1, len(args)):], func(a string) bool { return !strings.HasPrefix(a, "-") }) + 1
	if at == 0 {
		return args
	}
	command := app.Command(args[at])
	if command == nil {
		return args
	}
	if sub := subcommand(command, args[at+1:]); sub != nil {
		command, at = sub, at+1
	}
	var flags, rest []string
	for i := at + 1; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			rest = append(rest, args[i:]...)
			break
		}
		if !strings.HasPrefix(arg, "-") || arg == "-" {
			rest = append(rest, arg)
			continue
		}
		flags = append(flags, arg)
		if takesValue(command, arg) && i+1 < len(args) {
			i++
			flags = append(flags, args[i])
		}
	}
	return slices.Concat(args[:at+1], flags, rest)
}

// subcommand is the one of command that args begin with, or nil.
func subcommand(command *cli.Command, args []string) *cli.Command {
	for _, sub := range command.Subcommands {
		if len(args) > 0 && sub.HasName(args[0]) {
			return sub
		}
	}
	return nil
}

// takesValue says whether the flag's value is the next argument.
func takesValue(command *cli.Command, arg string) bool {
	name := strings.TrimLeft(arg, "-")
	if strings.Contains(name, "=") {
		return false
	}
	for _, flag := range command.Flags {
		if slices.Contains(flag.Names(), name) {
			_, boolean := flag.(*cli.BoolFlag)
			return !boolean
		}
	}
	return false
}
