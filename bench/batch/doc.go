// Package batch evaluates files of prompts offline: every row of the input gets
// exactly one result, whatever dies on the way.
package batch
