package micro

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// maxAxis is the most values an axis may have; a longer one is a typing error.
const maxAxis = 10_000

// ParseAxis reads the values of one axis: items separated by commas, each a
// number or a range, in the order given and without repeats.
//
//	8               one value
//	2k              k multiplies by 1024
//	1..4            1, 2, 3, 4
//	64..256+64      64, 128, 192, 256
//	128..2k*2       128, 256, 512, 1024, 2048
//
// A range never passes its end. FIRST-LAST means the same as FIRST..LAST, as
// in llama-bench. Values are at least 1. flag names the axis in errors.
func ParseAxis(flag, text string) ([]int, error) {
	var values []int
	seen := map[int]bool{}
	for item := range strings.SplitSeq(text, ",") {
		item = strings.TrimSpace(item)
		list, err := parseItem(item)
		if err != nil {
			return nil, fmt.Errorf("%s %q: %w", flag, text, err)
		}
		for _, v := range list {
			if !seen[v] {
				seen[v] = true
				values = append(values, v)
			}
		}
		if len(values) > maxAxis {
			return nil, fmt.Errorf("%s %q: more than %d values", flag, text, maxAxis)
		}
	}
	return values, nil
}

func parseItem(item string) ([]int, error) {
	if item == "" {
		return nil, fmt.Errorf("an item is empty: write numbers or ranges such as 1,8,32 or 128..2k*2")
	}
	first, rest, isRange := cutRange(item)
	lo, err := parseSize(first)
	if err != nil {
		return nil, err
	}
	if !isRange {
		return []int{lo}, nil
	}
	last, next, err := parseStep(rest)
	if err != nil {
		return nil, err
	}
	hi, err := parseSize(last)
	if err != nil {
		return nil, err
	}
	if hi < lo {
		return nil, fmt.Errorf("range %s ends at %d, below its start %d", item, hi, lo)
	}
	var values []int
	for v := lo; v <= hi; v = next(v) {
		if len(values) == maxAxis {
			return nil, fmt.Errorf("range %s has more than %d values", item, maxAxis)
		}
		values = append(values, v)
	}
	return values, nil
}

// cutRange splits FIRST..REST or FIRST-REST. Values are never negative, so a
// minus sign can only be the latter.
func cutRange(item string) (first, rest string, isRange bool) {
	if first, rest, isRange = strings.Cut(item, ".."); isRange {
		return first, rest, true
	}
	return strings.Cut(item, "-")
}

// parseStep splits the end of a range from how it advances.
func parseStep(rest string) (last string, next func(int) int, err error) {
	at := strings.IndexAny(rest, "+*")
	if at < 0 {
		return rest, func(v int) int { return v + 1 }, nil
	}
	by, err := parseSize(rest[at+1:])
	if err != nil {
		return "", nil, err
	}
	if rest[at] == '+' {
		return rest[:at], func(v int) int { return v + by }, nil
	}
	if by < 2 {
		return "", nil, fmt.Errorf("a range times %d does not advance", by)
	}
	return rest[:at], func(v int) int { return v * by }, nil
}

// maxSize bounds every count, so that sums of products of two fit an int.
const maxSize = 1 << 24

// parseSize reads a number from 1 with an optional suffix k, 1024.
func parseSize(text string) (int, error) {
	digits, scale := text, 1
	if d, ok := strings.CutSuffix(text, "k"); ok {
		digits, scale = d, 1024
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange) || err == nil && n > maxSize/uint64(scale):
		return 0, fmt.Errorf("%q is above %d", text, maxSize)
	case err != nil:
		return 0, fmt.Errorf("%q is not a number", text)
	case n == 0:
		return 0, fmt.Errorf("%q must be at least 1", text)
	}
	return int(n) * scale, nil
}

// formatSize is the inverse of parseSize, with k where it is exact.
func formatSize(n int) string {
	if n%1024 == 0 && n > 0 {
		return strconv.Itoa(n/1024) + "k"
	}
	return strconv.Itoa(n)
}
