package build

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// Tree is a vLLM source tree: a git checkout, or an unpacked source
// distribution.
type Tree struct {
	Dir    string // absolute, symbolic links resolved
	Given  string // as the user wrote it, for messages
	Commit string // of a git checkout, "-dirty" appended where files differ
	// Version of vLLM, "0.26.0"; empty where the tree does not tell.
	Version string
}

// OpenTree looks at dir. Errors: *InputError if it is no vLLM source tree.
func OpenTree(ctx context.Context, dir string) (Tree, error) {
	abs, err := filepath.Abs(dir)
	if err == nil {
		abs, err = filepath.EvalSymlinks(abs)
	}
	if err != nil {
		return Tree{}, refuse("source tree %s: not found", dir)
	}
	if strings.ContainsAny(abs, "|;[]\\\n\r\t") || strings.Contains(abs, "$(") {
		return Tree{}, refuse("source tree %q: CMake does not quote |, ;, $(, backslashes, brackets, tabs and line breaks for ninja: move it to a folder without them", abs)
	}
	for _, need := range []string{"CMakeLists.txt", "cmake/utils.cmake", "csrc"} {
		if _, err := os.Stat(filepath.Join(abs, need)); err != nil {
			return Tree{}, refuse("%s is not a vLLM source tree: it has no %s (make vllm-source unpacks one in out/vllm-source)", dir, need)
		}
	}
	t := Tree{Dir: abs, Given: filepath.Clean(dir)}
	// A source distribution inside another project's checkout is not that project.
	if top, err := t.git(ctx, "rev-parse", "--show-toplevel"); err == nil && sameDir(top, abs) {
		t.Commit, _ = t.git(ctx, "describe", "--always", "--dirty", "--abbrev=40", "--exclude", "*")
	}
	t.Version = t.version(ctx)
	return t, nil
}

var (
	metadataVersion = regexp.MustCompile(`(?m)^Version: (\S+)`)
	writtenVersion  = regexp.MustCompile(`(?m)^__version__ = .*'([0-9][^']*)'`)
	releaseNumber   = regexp.MustCompile(`^v?([0-9]+\.[0-9]+\.[0-9]+)`)
)

// version is the release that the tree is, or was branched from.
func (t Tree) version(ctx context.Context) string {
	candidates := []string{match(metadataVersion, filepath.Join(t.Dir, "PKG-INFO"))}
	if t.Commit != "" {
		tag, _ := t.git(ctx, "describe", "--tags", "--abbrev=0")
		candidates = append(candidates, tag)
	}
	candidates = append(candidates, match(writtenVersion, filepath.Join(t.Dir, "vllm", "_version.py")))
	for _, c := range candidates {
		if m := releaseNumber.FindStringSubmatch(c); m != nil {
			return m[1]
		}
	}
	return ""
}

func (t Tree) git(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", t.Dir}, args...)...)
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}

// userPaths turns the tree's absolute paths in a compiler's output into those
// that the user knows.
func (t Tree) userPaths(text string) string {
	return strings.ReplaceAll(text, t.Dir+"/", t.Given+"/")
}

// match is the first submatch of re in a file; empty without one.
func match(re *regexp.Regexp, path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	if m := re.FindSubmatch(text); m != nil {
		return string(m[1])
	}
	return ""
}

func sameDir(a, b string) bool {
	x, err1 := os.Stat(a)
	y, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}
