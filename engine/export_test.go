package engine

// What the tests in package engine_test need of the inside.

type (
	Report      = report
	Command     = command
	OpenCommand = openCommand
	CallCommand = callCommand
	WireError   = wireError
	More        = more
	Refused     = refused
)

var (
	RoundNs     = ns
	ReadFrame   = readFrame
	WriteFrame  = writeFrame
	ToWire      = toWire
	AdapterPath = adapterPath

	CheckCounters = checkCounters
	CounterNames  = counterNames
	StepOf        = step
	StatsOf       = requestStats
	SamplingWire  = samplingWire
)

const FrameLimit = frameLimit

// PIDs are the tokenizers' idle processes.
func (t *Tokenizers) PIDs() (pids []int) {
	for range len(t.idle) {
		s := <-t.idle
		if s != nil {
			pids = append(pids, s.cmd.Process.Pid)
		}
		t.idle <- s
	}
	return pids
}

// Idle has an entry for each process that is.
func (t *Tokenizers) Idle() chan *pythonScript { return t.idle }

var (
	ShareCPUs     = shareCPUs
	ByCore        = byCore
	RankEnv       = rankEnv
	CheckPlatform = (*Config).checkPlatform
	SharedMemory  = sharedMemory
)

// LogTail gives what is kept of lines.
func LogTail(lines []string) []string {
	l := newLogTail(nil)
	close(l.ended)
	for _, line := range lines {
		l.add(line)
	}
	return l.last()
}

// NewFootprint gives a tag, its environment, and what removes its traces.
func NewFootprint() (tag string, env []string, remove func(), err error) {
	f := newFootprint()
	env, err = f.env()
	return f.tag, env, f.remove, err
}
