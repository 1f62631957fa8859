// Package output keeps the results of a batch so that every row has exactly
// one, whatever ends the program and when.
//
// A folder belongs to one run:
//
//	batch.json           what the run is, and how far it came (Manifest)
//	lock                 held by the process that writes (flock)
//	journal-00002.jsonl  results as they came, a line each
//	part-00000.parquet   results in order of their rows, never changed again
//	output.parquet       all of them in order, once an ordered run is complete
//
// Results go to the end of the journal. A full journal is sealed: its rows are
// written in order to a part of the same number under a temporary name, that
// is made durable and renamed, the folder is made durable, and only then the
// journal is removed. So at every instant a result is in a journal, or in a
// part, or in both, and the number tells that both are the same. output.* is to
// the parts what a part is to its journal.
//
// After a kill nothing that was appended is lost: the kernel has it. After a
// power cut the last second may be: what the disk has of it ends in a cut line
// or in zeros, which Open cuts off, and those rows are missing and run again.
package output
