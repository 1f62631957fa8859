package estimate

import (
	"math"
	"sync"

	"gonum.org/v1/gonum/stat/distuv"
)

// normal as degrees of freedom means a known variance: Student's t is then the
// normal distribution.
const normal = 0

// quantiles remembers quantiles by their argument: a kernel table asks for the
// same few hundreds of times, and one takes microseconds of iteration.
var quantiles sync.Map

type quantileOf struct {
	p  float64
	df int
}

// quantile is the p-quantile of Student's t with df degrees of freedom.
func quantile(p float64, df int) float64 {
	key := quantileOf{p, df}
	if q, ok := quantiles.Load(key); ok {
		return q.(float64)
	}
	q := distuv.UnitNormal.Quantile(p)
	if df != normal {
		q = distuv.StudentsT{Sigma: 1, Nu: float64(df)}.Quantile(p)
	}
	quantiles.Store(key, q)
	return q
}

// twoSidedP is the probability of a t at least as far from 0. A 0/0, an effect
// of 0 without spread, is no evidence against 0.
func twoSidedP(t float64, df int) float64 {
	switch {
	case math.IsNaN(t):
		return 1
	case df == normal:
		return 2 * distuv.UnitNormal.CDF(-math.Abs(t))
	case math.IsInf(t, 0):
		return 0
	}
	return 2 * distuv.StudentsT{Sigma: 1, Nu: float64(df)}.CDF(-math.Abs(t))
}
