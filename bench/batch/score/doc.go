// Package score says how good the answers of a batch run are: metrics of one
// row, their summary over a run, and the paired comparison of two runs.
//
// A metric gives each answered row a number, 0 or 1 but for perplexity. Rows
// that failed have none. They are never dropped silently: every mean is given
// over the answered rows, and once more over all with a failed row as 0. An
// answered row without a number, as one without a reference, is counted apart.
//
// Memory does not grow with the number of rows: sums and sketches are kept, and
// bootstraps draw from at most 4096 units a metric, groups of rows beyond that.
package score
