package engine

import (
	"bufio"
	"io"
	"slices"
	"sync"
	"time"
)

const (
	logTailLines = 12
	logLineBytes = 64 << 10
)

// logTail passes a worker's output on and remembers its last lines.
type logTail struct {
	each func(line string)

	mu    sync.Mutex
	lines []string
	ended chan struct{} // closed at the end of the output
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
	l.mu.Lock()
	l.lines = append(l.lines, line)
	if len(l.lines) > logTailLines {
		l.lines = slices.Delete(l.lines, 0, len(l.lines)-logTailLines)
	}
	l.mu.Unlock()
	if l.each != nil {
		l.each(line)
	}
}

// last gives the final lines. The pipe may still hold some when the process has
// just died, so it waits a moment for its end.
func (l *logTail) last() []string {
	select {
	case <-l.ended:
	case <-time.After(500 * time.Millisecond):
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}
