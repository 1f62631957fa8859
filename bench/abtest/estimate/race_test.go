//go:build race

package estimate

// thinning divides the number of simulated comparisons: the race detector makes
// them ten times slower, and it looks for races, not for rates.
const thinning = 10
