package stats

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// Mean is Σx/n; it panics on an empty x.
func Mean(x []float64) float64 {
	if len(x) == 0 {
		panic("stats: mean of nothing")
	}
	return stat.Mean(x, nil)
}

// SD is the sample standard deviation sqrt(Σ(x-mean)²/(n-1)); it does not
// exist for n < 2.
func SD(x []float64) (sd float64, ok bool) {
	if len(x) < 2 {
		return 0, false
	}
	return stat.StdDev(x, nil), true
}

// CV is the coefficient of variation SD/Mean; it does not exist for n < 2 or a
// mean of 0.
func CV(x []float64) (cv float64, ok bool) {
	sd, ok := SD(x)
	if !ok || Mean(x) == 0 {
		return 0, false
	}
	return sd / Mean(x), true
}

// MAD is the median absolute deviation from the median, unscaled; times 1.4826
// it estimates the deviation of normal data. It panics on an empty x, which
// need not be sorted.
func MAD(x []float64) float64 {
	s := slices.Clone(x)
	slices.Sort(s)
	median := Median(s)
	for i, v := range s {
		s[i] = math.Abs(v - median)
	}
	slices.Sort(s)
	return Median(s)
}

// TInterval is Student's interval of the mean of independent, roughly normal
// x, such as the values of repeats: mean ± t_{(1+level)/2,n-1}·sd/√n. It does
// not exist for n < 2.
func TInterval(x []float64, level float64) (ci Interval, ok bool) {
	sd, ok := SD(x)
	if !ok {
		return Interval{}, false
	}
	half := studentQuantile((1+level)/2, len(x)-1) * sd / math.Sqrt(float64(len(x)))
	return Interval{Lo: Mean(x) - half, Hi: Mean(x) + half}, true
}

// Slope is the least-squares slope of y over 0, 1, …, n-1 and its one-sided
// lower limit slope - t_{level,n-2}·se, with se² = Σ(residual²)/(n-2)/Σ(x-x̄)².
// It does not exist for n < 3.
func Slope(y []float64, level float64) (slope, lower float64, ok bool) {
	n := len(y)
	if n < 3 {
		return 0, 0, false
	}
	x := make([]float64, n)
	for i := range x {
		x[i] = float64(i)
	}
	intercept, slope := stat.LinearRegression(x, y, nil, false)
	var rss, sxx float64
	for i := range x {
		r := y[i] - intercept - slope*x[i]
		rss += r * r
		sxx += (x[i] - float64(n-1)/2) * (x[i] - float64(n-1)/2)
	}
	se := math.Sqrt(rss / float64(n-2) / sxx)
	return slope, slope - studentQuantile(level, n-2)*se, true
}

// studentQuantile is the p-quantile of Student's t with df degrees of freedom.
func studentQuantile(p float64, df int) float64 {
	return distuv.StudentsT{Mu: 0, Sigma: 1, Nu: float64(df)}.Quantile(p)
}
