package engine

import (
	"bufio"
	"io"
	"regexp"
	"slices"
	"sync"
	"time"
)

const (
	logTailLines = 12
	logLineBytes = 64 << 10
	logTailBytes = 1 << 10 // of a line that is remembered
)

// crashStart begins the report of a dying Go runtime. Its reason comes first and
// is followed by hundreds of lines of stacks and registers.
var crashStart = regexp.MustCompile(`^(panic|fatal error|SIG[A-Z]+): `)

// logTail passes a worker's output on and remembers its last lines; of a crash,
// its first ones.
type logTail struct {
	each func(line string)

	mu      sync.Mutex
	lines   []string
	crashed bool
	ended   chan struct{} // closed at the end of the output
}

func newLogTail(each func(line string)) *logTail {
	return &logTail{each: each, ended: make(chan struct{})}
}

func (l *logTail) read(r io.ReadCloser) {
	defer r.Close()
	defer close(l.ended)
	for in := bufio.NewReaderSize(r, logLineBytes); ; {
		// A longer line than the buffer arrives in pieces.
		text, _, err := in.ReadLine()
		if err != nil {
			return
		}
		l.add(string(text))
	}
}

func (l *logTail) add(line string) {
	if l.each != nil {
		l.each(line)
	}
	if len(line) > logTailBytes {
		line = line[:logTailBytes] + "..."
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	room := logTailLines - 1
	switch {
	case l.crashed && len(l.lines) > room:
		return
	case !l.crashed && crashStart.MatchString(line):
		l.crashed, room = true, logTailLines/2
	}
	l.lines = append(l.lines[max(0, len(l.lines)-room):], line)
}

// wait gives a process that has just ended a moment for what its pipe still holds.
func (l *logTail) wait() {
	select {
	case <-l.ended:
	case <-time.After(500 * time.Millisecond):
	}
}

// last gives the final lines.
func (l *logTail) last() []string {
	l.wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}
