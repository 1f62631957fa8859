// Package micro measures what one engine step of a given shape costs.
//
// A [Cell] is a shape: how many requests with how many query tokens at which
// context. [Grid] makes cells from lists of values, [Check] refuses those that
// the engine cannot run. [Run] measures cells on one open engine: it forces
// each step to its shape, compares what the scheduler did with what was
// planned, and keeps only steps that agree. Encoding the [Results] is package
// encode's business.
//
// Terms: a round is one visit to a cell; an episode is one set of requests from
// their submission to their end; a burst is a run of profiled steps.
package micro
