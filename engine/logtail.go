package engine

import (
	"bufio"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	logTailLines  = 12
	rankTailLines = 6 // of each rank beside them
	logLineBytes  = 64 << 10
	logTailBytes  = 1 << 10 // of a line that is remembered
)

// crashStart begins the report of a dying Go runtime. Its reason comes first and
// is followed by hundreds of lines of stacks and registers.
var crashStart = regexp.MustCompile(`^(panic|fatal error|SIG[A-Z]+): `)

// rankLine begins a line of a rank: vLLM puts "(Worker_TP1 pid=42) " before it
// (vllm/logger.py, decorate_logs), in which the number stays and the name grows, and
// Ray, before that, its own "(RayWorkerProc pid=42, ip=10.0.0.2) ".
var rankLine = regexp.MustCompile(`^(?:\(RayWorkerProc [^)]*\) )?\(Worker\S* pid=(\d+)\) `)

// colour is a terminal's, which Ray writes into pipes too.
var colour = regexp.MustCompile(`\x1b\[[0-9;]*m`)

// logTail passes a worker's output on and remembers its last lines, and those of
// each rank on their own; of a crash, the first ones.
type logTail struct {
	each func(line string)

	mu    sync.Mutex
	seen  int // lines
	own   tail
	ranks map[int]*tail // by process
	ended chan struct{} // closed at the end of the output
}

// tail is the end of one process's output.
type tail struct {
	lines   []string
	crashed bool
}

func newLogTail(each func(line string)) *logTail {
	return &logTail{each: each, ranks: map[int]*tail{}, ended: make(chan struct{})}
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
	line = shown(line)
	if len(line) > logTailBytes {
		line = line[:logTailBytes] + "..."
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen++
	if m := rankLine.FindStringSubmatch(line); m != nil {
		pid, _ := strconv.Atoi(m[1])
		if l.ranks[pid] == nil {
			l.ranks[pid] = &tail{}
		}
		l.ranks[pid].add(line, rankTailLines)
		return
	}
	l.own.add(line, logTailLines)
}

// shown is what a terminal would be left with: no colours, and of a progress bar,
// which returns to the start of its line, the last state.
func shown(line string) string {
	line = strings.TrimRight(colour.ReplaceAllString(line, ""), "\r")
	who := rankLine.FindString(line)
	return who + line[max(len(who), strings.LastIndexByte(line, '\r')+1):]
}

func (t *tail) add(line string, most int) {
	room := most - 1
	switch {
	case t.crashed && len(t.lines) > room:
		return
	case !t.crashed && crashStart.MatchString(line):
		t.crashed, room = true, most/2
	}
	t.lines = append(t.lines[max(0, len(t.lines)-room):], line)
}

// wait gives a process that has just ended time for what its pipe still holds: as
// long as lines come, since a busy machine reads slowly, but not for ever, since
// something it started may hold the pipe and write on.
func (l *logTail) wait() {
	for before, tries := -1, 0; tries < 20; tries++ {
		l.mu.Lock()
		now := l.seen
		l.mu.Unlock()
		if now == before {
			return
		}
		before = now
		select {
		case <-l.ended:
			return
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// last gives the final lines: the worker's own, then each rank's.
func (l *logTail) last() []string {
	l.wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := slices.Clone(l.own.lines)
	for _, pid := range slices.Sorted(maps.Keys(l.ranks)) {
		lines = append(lines, l.ranks[pid].lines...)
	}
	return lines
}
