package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestNoShell: the program starts others by lists of arguments, which nothing reads
// again. A shell would read what is in paths and flags.
func TestNoShell(t *testing.T) {
	shells := []string{"sh", "bash", "dash", "zsh", "env", "xargs", "system", "popen"}
	root, calls := filepath.Join("..", ".."), 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && path != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "out" || name == "models" || name == "results") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			of, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || !slices.Contains([]string{"Command", "CommandContext", "StartProcess", "Exec"}, of.Sel.Name) {
				return true
			}
			if from, ok := of.X.(*ast.Ident); !ok || !slices.Contains([]string{"exec", "os", "syscall", "unix"}, from.Name) {
				return true
			}
			calls++
			for _, arg := range call.Args {
				ast.Inspect(arg, func(n ast.Node) bool {
					if text, ok := n.(*ast.BasicLit); ok && text.Kind == token.STRING {
						if value, err := strconv.Unquote(text.Value); err == nil && slices.Contains(shells, filepath.Base(value)) {
							t.Errorf("%s: %s through a shell", set.Position(call.Pos()), value)
						}
					}
					return true
				})
			}
			return true
		})
		return nil
	})
	if err != nil || calls < 10 {
		t.Errorf("%d programs are started, %v: this test looks at the wrong place", calls, err)
	}
}
