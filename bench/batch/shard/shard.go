// Package shard splits the rows of one input between processes that share
// nothing but storage.
package shard

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Shard is one process's part of the rows: those whose index over all inputs is
// Index modulo Count. That needs no count of the rows beforehand, and every
// shard gets the same mix of them, however the input is sorted.
type Shard struct {
	Index int // from 0
	Count int // 1: all rows
	// Source says where the numbers come from, for the log: "--shard 0/4",
	// "Slurm array", "Kubernetes indexed Job", "torchrun"; empty: not sharded.
	Source string
}

// Has tells whether the row with this index, from 0, is in the shard.
func (s Shard) Has(index int64) bool { return index%int64(s.Count) == int64(s.Index) }

// String is the shard as Parse reads it: "2/8".
func (s Shard) String() string { return fmt.Sprintf("%d/%d", s.Index, s.Count) }

// Parse reads a --shard: "" for all rows, "2/8" for the third of eight, "auto"
// for what a scheduler set in the environment, "auto/8" for a scheduler that does
// not say how many there are, as that of Kubernetes. env is os.Getenv, or what
// stands in for it.
func Parse(text string, env func(string) string) (Shard, error) {
	if text == "" {
		return Shard{Index: 0, Count: 1}, nil
	}
	first, second, slash := strings.Cut(text, "/")
	if first == "auto" {
		count := 0
		if slash {
			n, err := number(second)
			if err != nil || n < 1 {
				return Shard{}, fmt.Errorf("--shard %s: the number of shards is %q, want 1 or more, such as auto/8", text, second)
			}
			count = n
		}
		s, err := auto(env, count)
		if err != nil {
			return Shard{}, fmt.Errorf("--shard %s: %w", text, err)
		}
		return s, nil
	}
	index, err := number(first)
	count, countErr := number(second)
	if !slash || err != nil || countErr != nil {
		return Shard{}, fmt.Errorf("--shard %s: want i/n such as 0/8, auto, or auto/n", text)
	}
	if err := inRange(index, count); err != nil {
		return Shard{}, fmt.Errorf("--shard %s: %w", text, err)
	}
	return Shard{index, count, "--shard " + text}, nil
}

func inRange(index, count int) error {
	switch {
	case count < 1:
		return fmt.Errorf("%d shards, want 1 or more", count)
	case index >= count:
		return fmt.Errorf("there is no shard %d of %d: they count from 0 to %d", index, count, count-1)
	}
	return nil
}

// number reads digits alone: no sign, no space.
func number(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err == nil && strconv.Itoa(n) != text || n < 0 {
		return 0, errors.New("not a plain number")
	}
	return n, err
}
