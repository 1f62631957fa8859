package score

import (
	"cmp"
	"hash/fnv"
	"slices"

	"stepbench/bench/stats"
)

// maxUnits is how many units a bootstrap draws from. Of that many the width of
// an interval is known to one percent, and a draw does not take long.
const maxUnits = 4096

// Columns of a series: sums that the statistics are functions of. A row of a
// single run uses value and weight; of a pair, also those of run B.
const (
	value = iota
	weight
	valueB
	weightB
	columns
)

type sums [columns]float64

// unit is a row, or a group of rows drawn together.
type unit struct {
	key uint64
	of  sums
}

// series keeps what a bootstrap of rows needs: each row as long as there are no
// more than maxUnits of them, then as many groups that rows fall into by their
// key. Rows being independent, groups of them drawn at random are too. What it
// ends up with does not depend on the order of the rows.
type series struct {
	units   []unit
	grouped bool // units has maxUnits groups, by number
}

// add takes a row. key is its identity in the run.
func (s *series) add(key uint64, of sums) {
	if !s.grouped {
		if len(s.units) < maxUnits {
			s.units = append(s.units, unit{key, of})
			return
		}
		s.group()
	}
	s.into(key, of)
}

// group replaces rows by groups of them.
func (s *series) group() {
	rows := s.units
	*s = series{units: make([]unit, maxUnits), grouped: true}
	for _, u := range rows {
		s.into(u.key, u.of)
	}
}

func (s *series) into(key uint64, of sums) {
	g := &s.units[mix(key)%maxUnits]
	for c := range of {
		g.of[c] += of[c]
	}
}

// with is s and other together. Both stay as they are.
func (s *series) with(other *series) *series {
	if other.grouped {
		s, other = other, s
	}
	all := &series{units: slices.Clone(s.units), grouped: s.grouped}
	if other.grouped { // then s is, too
		for i := range all.units {
			for c := range all.units[i].of {
				all.units[i].of[c] += other.units[i].of[c]
			}
		}
		return all
	}
	for _, u := range other.units {
		all.add(u.key, u.of)
	}
	return all
}

// total are the sums over all rows.
func (s *series) total() (t sums) {
	for _, u := range s.sorted() {
		for c := range t {
			t[c] += u.of[c]
		}
	}
	return t
}

// sorted are the units in an order that rows have not by when they came.
func (s *series) sorted() []unit {
	if s.grouped {
		return s.units
	}
	return slices.SortedFunc(slices.Values(s.units), func(a, b unit) int { return cmp.Compare(a.key, b.key) })
}

// interval is the bootstrap's of a statistic of the first width sums.
func (s *series) interval(key string, width int, statistic func(sums []float64) float64) *stats.Interval {
	var values []float64
	for _, u := range s.sorted() {
		if u.of != (sums{}) { // a group that no row fell into
			values = append(values, u.of[:width]...)
		}
	}
	ci, ok := stats.SumsBootstrap(values, width, key, statistic)
	if !ok {
		return nil
	}
	return &ci
}

// mix is the finaliser of SplitMix64 (Steele, Lea and Flood 2014): groups must
// not follow a pattern in the order of the input.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// keyOf is a row's key in a comparison, where the ID identifies it.
func keyOf(id string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(id))
	return h.Sum64()
}
