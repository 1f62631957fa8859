package abtest

import (
	"fmt"
	"math/bits"

	"stepbench/bench/micro"
)

// Class is the class of cells that share a noise floor: a phase, and the number
// of requests up to a power of two.
func Class(c micro.Cell) string {
	a := c.Axes()
	return fmt.Sprintf("%s %d", a.Phase, 1<<bits.Len(uint(a.Batch-1)))
}
