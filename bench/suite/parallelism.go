package suite

import (
	"fmt"
	"strconv"
	"strings"
)

// Parallelism is how a model is spread over devices.
type Parallelism struct{ TP, PP int }

// maxRanks is far above any machine's devices.
const maxRanks = 1024

// ParseParallelism reads "tp=2", "pp=2" or "tp=2,pp=2".
func ParseParallelism(text string) (Parallelism, error) {
	p := Parallelism{TP: 1, PP: 1}
	seen := map[string]bool{}
	for _, part := range strings.Split(text, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		n, err := strconv.Atoi(value)
		to := map[string]*int{"tp": &p.TP, "pp": &p.PP}[name]
		if to == nil || err != nil || n < 1 || n > maxRanks || seen[name] {
			return Parallelism{}, fmt.Errorf("%q is not as tp=2, pp=2 or tp=2,pp=2", text)
		}
		*to, seen[name] = n, true
	}
	return p, nil
}

// Devices is how many the model needs.
func (p Parallelism) Devices() int { return p.TP * p.PP }

// String is the shortest text that ParseParallelism reads.
func (p Parallelism) String() string {
	switch {
	case p.PP == 1:
		return fmt.Sprintf("tp=%d", p.TP)
	case p.TP == 1:
		return fmt.Sprintf("pp=%d", p.PP)
	}
	return fmt.Sprintf("tp=%d,pp=%d", p.TP, p.PP)
}
