package suite

import (
	"embed"
	"path"
	"strings"
)

//go:embed builtin/*.toml
var builtInFiles embed.FS

// BuiltIns names the suites that need no file.
func BuiltIns() []string { return []string{"quick", "full"} }

func builtIn(name string) (text string, ok bool) {
	if strings.ContainsAny(name, "./") {
		return "", false
	}
	data, err := builtInFiles.ReadFile(path.Join("builtin", name+".toml"))
	return string(data), err == nil
}
