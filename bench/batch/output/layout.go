package output

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Names of what a folder holds.
const (
	ManifestFile = "batch.json"
	lockFile     = "lock"
	// temporary is how names of half-written files begin (internal/atomicfile).
	temporary = ".stepbench-"
)

// Format is how results are written.
type Format string

const (
	Parquet Format = "parquet" // a line a choice
	JSONL   Format = "jsonl"   // a batch.Result a line
	OpenAI  Format = "openai"  // OpenAI Batch output, a result a line
)

// Formats are all of them.
var Formats = []Format{Parquet, JSONL, OpenAI}

// extension of the format's files.
func (f Format) extension() string {
	if f == Parquet {
		return ".parquet"
	}
	return ".jsonl"
}

func journalName(number int) string { return fmt.Sprintf("journal-%05d.jsonl", number) }

func partName(number int, f Format) string { return fmt.Sprintf("part-%05d%s", number, f.extension()) }

func orderedName(f Format) string { return "output" + f.extension() }

// contents are the files of a folder, numbers in order.
type contents struct {
	journals, parts []int
	ordered         bool     // output.* is there
	temporary       []string // half-written files, names
	foreign         []string // anything else
}

// list reads what dir holds of format f.
func list(dir string, f Format) (contents, error) {
	entries, err := os.ReadDir(dir)
	var c contents
	for _, e := range entries {
		name := e.Name()
		var n int
		switch {
		case name == ManifestFile || name == lockFile:
		case name == orderedName(f):
			c.ordered = true
		case strings.HasPrefix(name, temporary):
			c.temporary = append(c.temporary, name)
		case scan(name, "journal-%d.jsonl", &n) && name == journalName(n):
			c.journals = append(c.journals, n)
		case scan(name, "part-%d"+f.extension(), &n) && name == partName(n, f):
			c.parts = append(c.parts, n)
		default:
			c.foreign = append(c.foreign, name)
		}
	}
	slices.Sort(c.journals)
	slices.Sort(c.parts)
	return c, err
}

// files are the names of those with sealed results, the gathered one first.
func (c *contents) files(f Format) []string {
	var names []string
	if c.ordered {
		names = append(names, orderedName(f))
	}
	for _, n := range c.parts {
		names = append(names, partName(n, f))
	}
	return names
}

func scan(name, pattern string, n *int) bool {
	got, err := fmt.Sscanf(name, pattern, n)
	return got == 1 && err == nil
}

// syncDir makes the names in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync folder %s: %w", dir, err)
	}
	return nil
}

// remove removes a file of dir that may be gone.
func remove(dir, name string) error {
	err := os.Remove(filepath.Join(dir, name))
	if os.IsNotExist(err) {
		return nil
	}
	return err
}
