package abtest

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"stepbench/bench/abtest/estimate"
	"stepbench/bench/stats"
)

// Code says whether a kernel's machine code is the same in both arms.
type Code string

const (
	CodeUnknown Code = "unknown"
	CodeSame    Code = "same"
	CodeChanged Code = "changed"
	CodeAOnly   Code = "A-only"
	CodeBOnly   Code = "B-only"
)

// KernelRow is one kernel (GPU) or op (CPU) in both arms, means over the
// counted attribution quads, per step.
type KernelRow struct {
	NameA string     `json:"name_a"` // empty where A has no such kernel
	NameB string     `json:"name_b"`
	Calls [2]float64 `json:"calls"`
	Us    [2]float64 `json:"us"`
	// DeltaUs is B less A; Interval is its 95 % interval over launches, nil for
	// fewer than three of them.
	DeltaUs  float64         `json:"delta_us"`
	Interval *stats.Interval `json:"delta_ci95_us,omitempty"`
	// ContributionPct is DeltaUs in percent of A's step, ShareFrac its share of
	// the step's change.
	ContributionPct float64 `json:"contribution_pct"`
	ShareFrac       float64 `json:"share"`
	Code            Code    `json:"code"`
	// Target marks an op under test, or a kernel that a variant brings.
	Target bool `json:"target"`
}

// Name is the row's name, "A -> B" where it changed.
func (r *KernelRow) Name() string {
	switch {
	case r.NameA == r.NameB || r.NameB == "":
		return r.NameA
	case r.NameA == "":
		return r.NameB
	}
	return r.NameA + " -> " + r.NameB
}

// kernel is one arm's kernel over all counted bursts of a cell.
type kernel struct {
	name  string
	calls float64
	ns    float64
}

// kernelTable lists every kernel that counts towards the endpoint. The columns
// of times add up to the step's exactly, as they are means over the same
// bursts.
func kernelTable(e Endpoint, launches [][]*quad, targets []string, code map[string]Code) []KernelRow {
	var arms [2]map[string]*kernel
	n := 0
	for w := range arms {
		arms[w] = map[string]*kernel{}
	}
	for _, quads := range launches {
		for _, q := range quads {
			n += 2
			for w, bursts := range [2][2]*Burst{q.a, q.b} {
				for _, b := range bursts {
					add(arms[w], e, b)
				}
			}
		}
	}
	var rows []KernelRow
	var sumA, change float64
	for _, p := range match(arms[ArmA], arms[ArmB], float64(max(1, n))) {
		r := KernelRow{NameA: p[ArmA].name, NameB: p[ArmB].name, Code: CodeUnknown}
		for w := range p {
			r.Calls[w], r.Us[w] = p[w].calls/float64(n), p[w].ns/float64(n)/1e3
		}
		r.DeltaUs = r.Us[ArmB] - r.Us[ArmA]
		sumA += r.Us[ArmA]
		change += r.DeltaUs
		switch {
		case r.NameA == "":
			r.Code = CodeBOnly
		case r.NameB == "":
			r.Code = CodeAOnly
		case code[r.NameB] != "":
			r.Code = code[r.NameB]
		case len(code) > 0: // of neither variant: both arms run it from the same file
			r.Code = CodeSame
		}
		r.Target = slices.Contains(targets, r.NameA) || slices.Contains(targets, r.NameB) || code[r.NameA] != "" || code[r.NameB] != ""
		r.Interval = deltaInterval(e, launches, r.NameA, r.NameB)
		rows = append(rows, r)
	}
	for i := range rows {
		if sumA > 0 {
			rows[i].ContributionPct = 100 * rows[i].DeltaUs / sumA
		}
		if change != 0 {
			rows[i].ShareFrac = rows[i].DeltaUs / change
		}
	}
	slices.SortFunc(rows, func(a, b KernelRow) int {
		return cmp.Or(
			cmp.Compare(math.Abs(b.DeltaUs), math.Abs(a.DeltaUs)),
			cmp.Compare(a.Name(), b.Name()))
	})
	return rows
}

func add(into map[string]*kernel, e Endpoint, b *Burst) {
	for i := range b.Profile.Rows {
		row := &b.Profile.Rows[i]
		ns := e.rowNs(row)
		if ns == 0 {
			continue
		}
		k := into[row.Name]
		if k == nil {
			k = &kernel{name: row.Name}
			into[row.Name] = k
		}
		k.calls += row.Calls
		k.ns += ns
	}
}

// match pairs the kernels of both arms by name. Of those that are left, which a
// change may have renamed, two belong together if they have the same base name
// and number of calls a step, or if they are the only ones with that number.
func match(a, b map[string]*kernel, bursts float64) [][2]*kernel {
	var pairs [][2]*kernel
	var leftA, leftB []*kernel
	for _, name := range sortedKeys(a) {
		if b[name] != nil {
			pairs = append(pairs, [2]*kernel{a[name], b[name]})
		} else {
			leftA = append(leftA, a[name])
		}
	}
	for _, name := range sortedKeys(b) {
		if a[name] == nil {
			leftB = append(leftB, b[name])
		}
	}
	sameCalls := func(x, y *kernel) bool { return math.Abs(x.calls-y.calls) <= 0.01*bursts }
	sameBase := func(x, y *kernel) bool { return sameCalls(x, y) && baseName(x.name) == baseName(y.name) }
	for _, same := range []func(x, y *kernel) bool{sameBase, sameCalls} {
		for _, x := range slices.Clone(leftA) {
			y := only(leftB, func(y *kernel) bool { return same(x, y) })
			if y == nil || only(leftA, func(z *kernel) bool { return same(z, y) }) != x {
				continue
			}
			pairs = append(pairs, [2]*kernel{x, y})
			leftA = slices.DeleteFunc(leftA, func(k *kernel) bool { return k == x })
			leftB = slices.DeleteFunc(leftB, func(k *kernel) bool { return k == y })
		}
	}
	for _, x := range leftA {
		pairs = append(pairs, [2]*kernel{x, {}})
	}
	for _, y := range leftB {
		pairs = append(pairs, [2]*kernel{{}, y})
	}
	return pairs
}

// only is the one element that fits, nil if there is none or there are more.
func only(all []*kernel, fits func(*kernel) bool) *kernel {
	var found *kernel
	for _, k := range all {
		if fits(k) {
			if found != nil {
				return nil
			}
			found = k
		}
	}
	return found
}

// baseName is the function's name without return type, namespaces, template
// arguments and parameters.
func baseName(name string) string {
	depth := 0
	plain := strings.Map(func(c rune) rune {
		switch c {
		case '<':
			depth++
			return -1
		case '>':
			depth--
			return -1
		}
		if depth > 0 {
			return -1
		}
		return c
	}, strings.ReplaceAll(name, "(anonymous namespace)", ""))
	plain, _, _ = strings.Cut(plain, "(")
	plain = plain[strings.LastIndex(plain, " ")+1:]
	return plain[strings.LastIndex(plain, ":")+1:]
}

// deltaInterval is the interval of a row's change in µs a step.
func deltaInterval(e Endpoint, launches [][]*quad, nameA, nameB string) *stats.Interval {
	us := func(b *Burst, name string) float64 {
		var sum float64
		for i := range b.Profile.Rows {
			if r := &b.Profile.Rows[i]; r.Name == name && name != "" {
				sum += e.rowNs(r) / 1e3
			}
		}
		return sum
	}
	var d [][]float64
	for _, quads := range launches {
		var of []float64
		for _, q := range quads {
			of = append(of, estimate.Quad{
				A1: us(q.a[0], nameA), A2: us(q.a[1], nameA), B1: us(q.b[0], nameB), B2: us(q.b[1], nameB),
			}.D())
		}
		d = append(d, of)
	}
	described, ok := estimate.Describe(d, stats.Level)
	if !ok {
		return nil
	}
	return described.CI
}
