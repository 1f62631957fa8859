package abtest

// Gate is a condition for a verdict.
type Gate struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	Detail string `json:"detail,omitempty"`
}

// Status of a gate.
type Status string

const (
	Pass    Status = "pass"
	Flag    Status = "flag"    // doubtful; the verdict stands
	Fail    Status = "fail"    // the verdict is INVALID
	Unknown Status = "unknown" // could not be read; never counted as a pass
)
