package output

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"stepbench/bench/batch"
)

// MergeOptions say how shards are put together.
type MergeOptions struct {
	Format Format // that of the first shard, if empty
	// Ordered makes one file instead of parts. Rows are in the input's order in
	// both.
	Ordered             bool
	PartRows, PartBytes int64 // as in Manifest; bytes are those of the part
	// Partial lets rows be missing.
	Partial bool
	Command []string
}

// MergeError says why shards do not make up the input.
type MergeError struct {
	Rows    int64   // of the input, 0 if no shard knows
	Missing []Range // rows that no shard has
	Double  []Range // rows that more than one has
}

// Error lists the first rows.
func (e *MergeError) Error() string {
	var parts []string
	if e.Rows == 0 {
		parts = append(parts, "no shard has reached the end of the input: go on with one of them")
	}
	if n := count(e.Missing); n > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d rows are missing (%s): go on with their shards", n, e.Rows, listRanges(e.Missing)))
	}
	if n := count(e.Double); n > 0 {
		parts = append(parts, fmt.Sprintf("%d rows are in more than one folder (%s): leave one of these out", n, listRanges(e.Double)))
	}
	return "merge: " + strings.Join(parts, "; ")
}

func count(ranges []Range) (n int64) {
	for _, r := range ranges {
		n += r.To - r.From + 1
	}
	return n
}

func listRanges(ranges []Range) string {
	const most = 10
	var words []string
	for _, r := range ranges[:min(most, len(ranges))] {
		words = append(words, r.String())
	}
	if len(ranges) > most {
		words = append(words, "…")
	}
	return strings.Join(words, ", ")
}

// Merge makes one folder of those of shards of one input. It first looks which
// rows they have: missing and double ones are a *MergeError. out must not be
// there, or be empty; it appears when it is whole. The folders stay as they are.
func Merge(dirs []string, out string, o MergeOptions) (Manifest, error) {
	m, err := mergedManifest(dirs, &o)
	if err != nil {
		return m, err
	}
	if err := checkRows(dirs, &m, o.Partial); err != nil {
		return m, err
	}
	if entries, err := os.ReadDir(out); err == nil && len(entries) > 0 {
		return m, fmt.Errorf("merge: %s holds files: give a new folder", out)
	}
	parent := filepath.Dir(filepath.Clean(out))
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return m, err
	}
	dir, err := os.MkdirTemp(parent, temporary+"merge-")
	if err != nil {
		return m, err
	}
	defer os.RemoveAll(dir)
	if err := writeMerged(dirs, dir, &m); err != nil {
		return m, fmt.Errorf("merge: %w", err)
	}
	m.State, m.FinishedUnixNs = Complete, time.Now().UnixNano()
	if err := errors.Join(m.write(dir), os.Chmod(dir, 0o755)); err != nil {
		return m, err
	}
	if err := os.Rename(dir, out); err != nil {
		return m, err
	}
	return m, syncDir(parent)
}

// mergedManifest checks that dirs are shards of one run.
func mergedManifest(dirs []string, o *MergeOptions) (Manifest, error) {
	if len(dirs) == 0 {
		return Manifest{}, errors.New("merge: no folders given")
	}
	var all Manifest
	for i, dir := range dirs {
		m, err := ReadManifest(dir)
		if err != nil {
			return m, fmt.Errorf("merge: %w", err)
		}
		if i == 0 {
			all = m
		}
		// Copies of the input on several machines have other times and places.
		if !all.Input.SameContent(m.Input) {
			return m, fmt.Errorf("merge: %s is of another input than %s:\n  %s", dir, dirs[0], strings.Join(all.Input.Differences(m.Input), "\n  "))
		}
		one, other := all, m
		one.Input, one.Shard, one.Format, one.Ordered = other.Input, other.Shard, other.Format, other.Ordered
		if wrong := one.differences(&other); len(wrong) > 0 {
			return m, fmt.Errorf("merge: %s is not comparable with %s:\n  %s", dir, dirs[0], strings.Join(wrong, "\n  "))
		}
		all.StartedUnixNs = min(all.StartedUnixNs, m.StartedUnixNs)
		all.Counts.InputRows = max(all.Counts.InputRows, m.Counts.InputRows)
	}
	all.Shard, all.Command, all.Ordered = nil, o.Command, o.Ordered
	all.PartRows, all.PartBytes = o.PartRows, o.PartBytes
	if all.PartRows == 0 {
		all.PartRows = defaultPartRows
	}
	if all.PartBytes == 0 {
		all.PartBytes = defaultPartBytes
	}
	if o.Format != "" {
		all.Format = o.Format
	}
	return all, all.check()
}

// checkRows finds out whether dirs have every row once, and counts.
func checkRows(dirs []string, m *Manifest, partial bool) error {
	var rows, double rowSet
	m.Counts.Failed = 0
	for _, dir := range dirs {
		if err := eachRow(dir, func(row int64, failed bool) {
			if !rows.add(row) {
				double.add(row)
			}
			if failed {
				m.Counts.Failed++
			}
		}); err != nil {
			return fmt.Errorf("merge: %w", err)
		}
	}
	m.Counts.Done = rows.n
	e := &MergeError{Rows: m.Counts.InputRows, Double: double.ranges()}
	if !partial {
		e.Missing = rows.missing(e.Rows)
	}
	if len(e.Double) > 0 || len(e.Missing) > 0 || e.Rows == 0 && !partial {
		return e
	}
	return nil
}

// eachRow visits the rows of a folder, without their texts where the format
// allows it.
func eachRow(dir string, visit func(row int64, failed bool)) error {
	m, err := ReadManifest(dir)
	if err != nil {
		return err
	}
	c, err := list(dir, m.Format)
	if err != nil {
		return err
	}
	if len(c.journals) > 0 {
		for r, err := range Results(dir, Stored) {
			if err != nil {
				return err
			}
			visit(r.Index, r.Failure != nil)
		}
		return nil
	}
	for _, name := range gathered(dir, m.Format, c) {
		err := scanRows(dir, name, m.Format, func(row int64, failed bool) error {
			visit(row, failed)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// writeMerged writes the rows of dirs to dir.
func writeMerged(dirs []string, dir string, m *Manifest) error {
	var sources []source
	for _, d := range dirs {
		from, err := ReadManifest(d)
		if err != nil {
			return err
		}
		more, err := dirSources(d, from.Format)
		if err != nil {
			return err
		}
		sources = append(sources, more...)
	}
	r, err := mergeSources(sources)
	if err != nil {
		return err
	}
	defer r.close()
	if m.Ordered {
		return writeFile(filepath.Join(dir, orderedName(m.Format)), m, r.next)
	}
	return writeParts(dir, m, r)
}

// writeParts fills parts with what r gives.
func writeParts(dir string, m *Manifest, r resultReader) error {
	pending, err := r.next()
	for n := 0; err == nil; n++ {
		var rows, size int64
		wrong := writeFile(filepath.Join(dir, partName(n, m.Format)), m, func() (*batch.Result, error) {
			if err != nil {
				return nil, err
			}
			if rows >= m.PartRows || size >= m.PartBytes {
				return nil, io.EOF
			}
			out := pending
			rows++
			size += bytesOf(out)
			pending, err = r.next()
			return out, nil
		})
		if wrong != nil {
			return wrong
		}
	}
	if err == io.EOF {
		return nil
	}
	return err
}
