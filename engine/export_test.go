package engine

// What the tests in package engine_test need of the inside.

type (
	Report      = report
	Command     = command
	OpenCommand = openCommand
	CallCommand = callCommand
	WireError   = wireError
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
