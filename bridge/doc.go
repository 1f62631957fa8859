// Package bridge loads the shim, a C library that embeds CPython, and calls it
// through purego. It moves bytes: what an engine is, and what the counters and
// statistics of a step mean, is known to the adapter on the far side and to
// package engine on this one.
//
// The shim must be started and called on one OS thread; callers lock it.
package bridge
