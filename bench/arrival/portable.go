package arrival

import "math"

// A schedule must not depend on the machine, but math.Log and math.Exp have
// assembly on some, and a compiler may fuse x*y + z into one rounding (Go
// specification, "Floating-point operators"). ln and exp use only operations
// that IEEE 754 rounds exactly, each product rounded by an explicit conversion
// before it meets a sum. They are within 2e-15 (ln, of values near 1 absolute)
// and 1e-13 (exp, relative, down to the smallest normal number) of math's.

// ln is the natural logarithm for x > 0: with x = f·2^e, f in [1/√2, √2) and
// s = (f-1)/(f+1), it is e·ln 2 + 2·(s + s³/3 + s⁵/5 + …), |s| < 0.172.
func ln(x float64) float64 {
	f, e := math.Frexp(x)
	if f < math.Sqrt2/2 {
		f *= 2
		e--
	}
	s := (f - 1) / (f + 1)
	z := float64(s * s)
	series := 0.0
	for k := 23; k >= 1; k -= 2 {
		series = float64(series*z) + 1/float64(k)
	}
	return float64(2*s*series) + float64(float64(e)*math.Ln2)
}

// exp is e^x for x ≤ 0: with x = m·ln 2 + r, |r| ≤ ln 2/2, it is 2^m times the
// Taylor series of e^r.
func exp(x float64) float64 {
	m := math.Floor(float64(x/math.Ln2) + 0.5)
	r := x - float64(m*math.Ln2)
	series := 1.0
	for k := 15; k >= 1; k-- {
		series = float64(series*r)/float64(k) + 1
	}
	return math.Ldexp(series, int(m))
}
