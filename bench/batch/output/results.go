package output

import (
	"container/heap"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"

	"stepbench/bench/batch"
)

// Order is how Results gives rows.
type Order int

const (
	Stored  Order = iota // as they lie in the files
	ByIndex              // as in the input
)

// Results gives all results that dir has, of a run that is finished, killed or
// running. By index it merges the files, each of which is in order: it holds a
// row and the read buffers, a few MiB, of those files whose ranges of rows
// overlap at that place.
func Results(dir string, order Order) iter.Seq2[*batch.Result, error] {
	return func(yield func(*batch.Result, error) bool) {
		m, err := ReadManifest(dir)
		var sources []source
		if err == nil {
			sources, err = dirSources(dir, m.Format)
		}
		var r resultReader
		if err == nil && order == ByIndex {
			r, err = mergeSources(sources)
		} else if err == nil {
			r = &chain{sources: sources}
		}
		if err != nil {
			yield(nil, err)
			return
		}
		defer r.close()
		for {
			result, err := r.next()
			if err == io.EOF {
				return
			}
			if !yield(result, err) || err != nil {
				return
			}
		}
	}
}

// source is a file with results in order of their rows.
type source struct {
	name string
	open func() (resultReader, error)
	// first is the first row; -1 if there is none.
	first func() (int64, error)
	done  func()
}

func fileSource(dir, name string, format Format) source {
	open := func() (resultReader, error) { return openResults(dir, name, format) }
	return source{name: filepath.Join(dir, name), open: open, done: func() {}, first: func() (int64, error) {
		r, err := open()
		if err != nil {
			return 0, err
		}
		defer r.close()
		result, err := r.next()
		if err == io.EOF {
			return -1, nil
		}
		if err != nil {
			return 0, err
		}
		return result.Index, nil
	}}
}

// dirSources gives the files of dir. Another process may seal one of them at
// the same time, and then has to be looked at again.
func dirSources(dir string, format Format) ([]source, error) {
	const most = 100
	for range most {
		c, err := list(dir, format)
		if err != nil {
			return nil, err
		}
		sources, err := openJournals(dir, c)
		again, listErr := list(dir, format)
		if err == nil && listErr == nil && slices.Equal(c.journals, again.journals) && slices.Equal(c.parts, again.parts) && c.ordered == again.ordered {
			files := gathered(dir, format, c)
			for _, name := range files {
				sources = append(sources, fileSource(dir, name, format))
			}
			return sources, nil
		}
		closeSources(sources)
		if err := errors.Join(err, listErr); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%s changes faster than it can be read", dir)
}

// openJournals opens and reads the journals of c that have no part.
func openJournals(dir string, c contents) (out []source, err error) {
	for _, n := range c.journals {
		if slices.Contains(c.parts, n) {
			continue
		}
		f, err := os.Open(filepath.Join(dir, journalName(n)))
		if err != nil {
			return out, err
		}
		var spans []span
		_, err = scanJournal(f, func(e entry, at, length int64) error {
			if e.Result != nil {
				spans = append(spans, span{e.Index, at, length})
			}
			return nil
		})
		if err != nil {
			return out, errors.Join(fmt.Errorf("read %s: %w", f.Name(), err), f.Close())
		}
		out = append(out, journalSource(f, inOrder(spans)))
	}
	return out, nil
}

func journalSource(f *os.File, spans []span) source {
	done := func() { _ = f.Close() } // only read
	return source{
		name: f.Name(),
		open: func() (resultReader, error) {
			return &spanReader{name: f.Name(), f: f, spans: spans, done: done}, nil
		},
		first: func() (int64, error) {
			if len(spans) == 0 {
				return -1, nil
			}
			return spans[0].row, nil
		},
		done: done,
	}
}

func closeSources(sources []source) {
	for _, s := range sources {
		s.done()
	}
}

// gathered are the files of c without parts that a kill left beside the file
// that has them.
func gathered(dir string, format Format, c contents) []string {
	names := c.files(format)
	if !c.ordered || len(c.parts) == 0 {
		return names
	}
	all, err := scanFile(dir, names[0], format)
	if err != nil {
		return names // reading it will say why
	}
	return slices.DeleteFunc(names, func(name string) bool {
		part, err := scanFile(dir, name, format)
		return name != names[0] && err == nil && all.rows.contains(&part.rows)
	})
}

// chain gives sources one after the other.
type chain struct {
	sources []source
	open    resultReader
}

func (c *chain) next() (*batch.Result, error) {
	for {
		if c.open == nil {
			if len(c.sources) == 0 {
				return nil, io.EOF
			}
			r, err := c.sources[0].open()
			if err != nil {
				return nil, err
			}
			c.open = r
		}
		result, err := c.open.next()
		if err != io.EOF {
			return result, err
		}
		c.open.close()
		c.open, c.sources = nil, c.sources[1:]
	}
}

func (c *chain) close() {
	if c.open != nil {
		c.open.close()
	}
	closeSources(c.sources)
}

// merged gives the rows of sources in order. A source is opened when its first
// row's turn has come, and closed after its last.
type merged struct {
	sources []source
	heads   heads
	last    int64
	name    string // of the source of the last row
}

// head is the next row of a source.
type head struct {
	source
	r      resultReader // nil before the first
	result *batch.Result
	row    int64
}

type heads []*head

func (h heads) Len() int           { return len(h) }
func (h heads) Less(i, j int) bool { return h[i].row < h[j].row }
func (h heads) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *heads) Push(x any)        { *h = append(*h, x.(*head)) }
func (h *heads) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

func mergeSources(sources []source) (*merged, error) {
	m := &merged{sources: sources, last: -1}
	for _, s := range sources {
		row, err := s.first()
		if err != nil {
			m.close()
			return nil, err
		}
		if row >= 0 {
			m.heads = append(m.heads, &head{source: s, row: row})
		}
	}
	heap.Init(&m.heads)
	return m, nil
}

func (m *merged) next() (*batch.Result, error) {
	if len(m.heads) == 0 {
		return nil, io.EOF
	}
	h := m.heads[0]
	if h.r == nil {
		r, err := h.open()
		if err != nil {
			return nil, err
		}
		h.r = r
		if h.result, err = r.next(); err != nil {
			return nil, err
		}
	}
	out := h.result
	if out.Index <= m.last {
		return nil, fmt.Errorf("row %d of %s comes after row %d of %s: a row is there twice, or a file is not in order", out.Index, h.name, m.last, m.name)
	}
	m.last, m.name = out.Index, h.name
	next, err := h.r.next()
	switch {
	case err == io.EOF:
		h.r.close()
		heap.Pop(&m.heads)
	case err != nil:
		return nil, err
	default:
		h.result, h.row = next, next.Index
		heap.Fix(&m.heads, 0)
	}
	return out, nil
}

func (m *merged) close() {
	for _, h := range m.heads {
		if h.r != nil {
			h.r.close()
		}
	}
	closeSources(m.sources)
}
