package input

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// idSet remembers ids as 64 bits of their SHA-256, the same on every start, so
// that a resumed run finds the same duplicates. Two different ids of n share
// their 64 bits with a probability of about n²/2⁶⁵: 3 in 10⁸ for a million.
//
// Open addressing in 256 tables that grow by half on their own when they are
// three quarters full: between 10.7 and 16 bytes an id, and never two copies
// of everything at once. A Go map of the same would take up to 40.
type idSet struct {
	tables [256]idTable
}

type idTable struct {
	slots []uint64 // 0 is free
	n     int
}

// add says whether id is new.
func (s *idSet) add(id string) bool {
	sum := sha256.Sum256([]byte(id))
	h := max(1, binary.BigEndian.Uint64(sum[:]))
	return s.tables[sum[8]].add(h)
}

func (t *idTable) add(h uint64) bool {
	if 4*(t.n+1) > 3*len(t.slots) {
		old := t.slots
		t.slots = make([]uint64, max(8, len(old)+len(old)/2))
		for _, h := range old {
			if h != 0 {
				t.slots[t.find(h)] = h
			}
		}
	}
	at := t.find(h)
	if t.slots[at] == h {
		return false
	}
	t.slots[at] = h
	t.n++
	return true
}

// find gives the slot of h, or the free one where it belongs.
func (t *idTable) find(h uint64) int {
	at, _ := bits.Mul64(h, uint64(len(t.slots))) // h as a fraction of 2⁶⁴, times the length
	for t.slots[at] != h && t.slots[at] != 0 {
		if at++; at == uint64(len(t.slots)) {
			at = 0
		}
	}
	return int(at)
}
