//go:build !race

package score

// thinning divides the number of simulated data sets.
const thinning = 1
