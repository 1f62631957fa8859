//go:build !race

package estimate

// thinning divides the number of simulated comparisons.
const thinning = 1
