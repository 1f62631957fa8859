package output

import (
	"fmt"
	"maps"
	"math/bits"
	"slices"
)

// rowSet is a set of row numbers: a bit each, in pages of 65,536 rows, so that
// a million rows take 128 KiB and a stray number takes one page.
type rowSet struct {
	pages map[int64]*[1024]uint64
	n     int64
}

const pageBits = 16

// add says whether row is new.
func (s *rowSet) add(row int64) bool {
	if s.pages == nil {
		s.pages = map[int64]*[1024]uint64{}
	}
	page := s.pages[row>>pageBits]
	if page == nil {
		page = new([1024]uint64)
		s.pages[row>>pageBits] = page
	}
	word, bit := &page[row>>6&1023], uint64(1)<<(row&63)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	s.n++
	return true
}

func (s *rowSet) has(row int64) bool {
	page := s.pages[row>>pageBits]
	return page != nil && page[row>>6&1023]&(1<<(row&63)) != 0
}

// Range is rows From to To, both among them.
type Range struct{ From, To int64 }

// String gives the numbers.
func (r Range) String() string {
	if r.From == r.To {
		return fmt.Sprint(r.From)
	}
	return fmt.Sprintf("%d to %d", r.From, r.To)
}

// ranges gives the rows of s in order.
func (s *rowSet) ranges() []Range {
	var out []Range
	for _, number := range slices.Sorted(maps.Keys(s.pages)) {
		for w, word := range s.pages[number] {
			for word != 0 {
				bit := bits.TrailingZeros64(word)
				word &= word - 1
				row := number<<pageBits + int64(w)<<6 + int64(bit)
				if n := len(out); n > 0 && out[n-1].To == row-1 {
					out[n-1].To = row
				} else {
					out = append(out, Range{row, row})
				}
			}
		}
	}
	return out
}

// missing gives the rows from 0 to rows-1 that are not in s.
func (s *rowSet) missing(rows int64) []Range {
	var out []Range
	next := int64(0)
	for _, r := range append(s.ranges(), Range{rows, rows}) {
		if until := min(r.From, rows); until > next {
			out = append(out, Range{next, until - 1})
		}
		next = max(next, r.To+1)
	}
	return out
}

// contains says that all of t are in s.
func (s *rowSet) contains(t *rowSet) bool {
	for number, page := range t.pages {
		mine := s.pages[number]
		for w, word := range page {
			if word != 0 && (mine == nil || word&^mine[w] != 0) {
				return false
			}
		}
	}
	return true
}
