//go:build !race

package stats

// thinning divides the number of simulated data sets.
const thinning = 1
