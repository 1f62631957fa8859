//go:build race

package score

// thinning divides the number of simulated data sets: the race detector makes
// them ten times slower, and it looks for races, not for rates.
const thinning = 10
