// Package bottleneck says what holds a configuration back, from the records of
// its run: for each of several causes the share of time or capacity that would
// be won if it vanished, so that all are on one scale and Amdahl's bound stands
// beside each. Nothing in it is a judgement that the evidence printed with it
// does not give.
package bottleneck

// Class is a cause.
type Class string

const (
	Prefill        Class = "prefill"             // computing prompts
	Decode         Class = "decode"              // computing output tokens
	HostBound      Class = "host-bound"          // requests in service, device idle
	LowUtilisation Class = "low GPU utilisation" // device idle for any reason
	QueueBuildUp   Class = "queue build-up"      // requests wait to be scheduled
	MemoryPressure Class = "memory pressure"     // the KV cache denies concurrency
	HighVariance   Class = "high latency variance"
)

// Classes in the order in which they are listed, and in which ties are broken.
var Classes = []Class{Prefill, Decode, HostBound, LowUtilisation, QueueBuildUp, MemoryPressure, HighVariance}

// Report is the verdict on one configuration.
type Report struct {
	Classes []Finding `json:"classes"` // each of Classes, in their order
	// Primary is the class to act on first, empty if there is none; CoPrimary
	// are others within 0.05 of its x.
	Primary   Class   `json:"primary,omitempty"`
	CoPrimary []Class `json:"co_primary,omitempty"`
	// Balanced: measured, and nothing reaches its onset.
	Balanced bool `json:"balanced"`
	// Reason is why Primary is the one, or why there is none.
	Reason   string   `json:"reason"`
	Evidence Evidence `json:"evidence"`
	Notes    []string `json:"notes,omitempty"` // doubts about the evidence
}

// Finding is one class.
type Finding struct {
	Class Class `json:"class"`
	// X in [0, 1] is the share of time or capacity won back if the cause
	// vanished. Where the records do not tell, Unknown says why and X is 0.
	X        float64 `json:"x"`
	Unknown  string  `json:"unknown,omitempty"`
	Severity float64 `json:"severity"` // 10·X
	Word     string  `json:"word"`     // none, low, moderate, high, critical or unknown
	// Onset is the x from which the class is present, and OnsetReason why there.
	Onset       float64 `json:"onset"`
	OnsetReason string  `json:"onset_reason"`
	Present     bool    `json:"present"`
	Dominant    bool    `json:"dominant,omitempty"`
	// Bound is Amdahl's limit of the speed-up if the cause vanished, 1/(1-X);
	// 0 stands for no limit, at X = 1.
	Bound    float64  `json:"bound"`
	Evidence []Line   `json:"evidence,omitempty"`
	Advice   []string `json:"advice,omitempty"` // of present classes, with vLLM's flags
}

// Line is one piece of evidence: a formula and the same with numbers.
type Line struct {
	Formula string `json:"formula"`
	Numbers string `json:"numbers"`
}

// Of finds the finding of a class; nil if r has none.
func (r *Report) Of(c Class) *Finding {
	for i := range r.Classes {
		if r.Classes[i].Class == c {
			return &r.Classes[i]
		}
	}
	return nil
}

// Word grades a severity: below 1 none, below 3 low, below 6 moderate, below 8
// high, else critical. 3, 6 and 8 are bounds of 1.43, 2.5 and 5.
func Word(severity float64) string {
	switch {
	case severity < 1:
		return "none"
	case severity < 3:
		return "low"
	case severity < 6:
		return "moderate"
	case severity < 8:
		return "high"
	default:
		return "critical"
	}
}
