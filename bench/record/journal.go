package record

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"stepbench/engine"
)

// journalLine is a batch in the journal.
type journalLine struct {
	StartNs  int64                  `json:"start_ns"`
	Steps    []engine.Step          `json:"steps,omitempty"`
	Requests []engine.RequestResult `json:"requests,omitempty"`
}

// journal is everything a journal holds.
type journal struct {
	startNs  int64
	requests []engine.RequestResult
	steps    []engine.Step
	// truncated: the last line was cut off, as a kill or a full disk leaves it.
	truncated bool
}

// appendBatch adds b to the journal in one write, so that a kill of this
// process between two batches loses nothing.
func appendBatch(w io.Writer, b engine.Batch) error {
	line, err := json.Marshal(journalLine{b.StartNs, b.Steps, b.Requests})
	if err != nil {
		return fmt.Errorf("encode batch: %w", err)
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

// readJournal reads batches until the end of r. A last line without its end is
// left out; anything else that is not a batch is an error with its line.
func readJournal(r io.Reader) (journal, error) {
	var j journal
	lines := bufio.NewReaderSize(r, 1<<20)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			j.truncated = len(line) > 0
			return j, nil
		}
		if err != nil {
			return j, fmt.Errorf("line %d: %w", n, err)
		}
		var b journalLine
		if err := json.Unmarshal(line, &b); err != nil {
			return j, fmt.Errorf("line %d: %w", n, err)
		}
		j.startNs = b.StartNs
		j.steps = append(j.steps, b.Steps...)
		j.requests = append(j.requests, b.Requests...)
	}
}

func readJournalFile(path string) (journal, error) {
	f, err := os.Open(path)
	if err != nil {
		return journal{}, err
	}
	defer f.Close()
	j, err := readJournal(f)
	if err != nil {
		return j, fmt.Errorf("read %s: %w", path, err)
	}
	return j, nil
}
