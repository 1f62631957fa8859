package micro

// Agreement says how far two runs of the same cells tell the same.
type Agreement struct {
	Cells int // that both runs have an interval of
	Agree int // whose intervals meet
	Apart []Apart
}

// Apart is a cell whose intervals do not meet.
type Apart struct {
	Cell string
	// Ratio of the second run's median to the first's.
	Ratio float64
}

// Agree compares the 95 % intervals of the wall time, cell by cell. Where nothing
// but chance differs between two runs, about 99 of 100 pairs of such intervals
// meet.
func Agree(a, b *Results) Agreement {
	first := map[string]*Wall{}
	for i := range a.Cells {
		if c := &a.Cells[i]; c.Wall.CIMethod != "" {
			first[c.Cell.Name()] = &c.Wall
		}
	}
	var out Agreement
	for i := range b.Cells {
		name, y := b.Cells[i].Cell.Name(), &b.Cells[i].Wall
		x := first[name]
		if x == nil || y.CIMethod == "" {
			continue
		}
		out.Cells++
		if x.CI.Lo <= y.CI.Hi && y.CI.Lo <= x.CI.Hi {
			out.Agree++
		} else {
			out.Apart = append(out.Apart, Apart{name, y.MedianNs / x.MedianNs})
		}
	}
	return out
}
