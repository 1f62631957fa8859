package estimate

// Verdict says what a comparison of two arms showed.
type Verdict string

const (
	Same         Verdict = "SAME"         // shown to differ by less than the margin
	Faster       Verdict = "FASTER"       // B takes less time
	Slower       Verdict = "SLOWER"       // B takes more time
	Inconclusive Verdict = "INCONCLUSIVE" // neither shown
	Invalid      Verdict = "INVALID"      // the measurement does not count
)

// Exit codes of a comparison.
const (
	ExitOK           = 0 // SAME or FASTER
	ExitSlower       = 1
	ExitInconclusive = 2
	ExitInvalid      = 3
	ExitDiffers      = 4 // the arms' outputs differ
)

// ExitCode is the exit code of a process that ends with these verdicts: the
// first of 3, 4, 1, 2, 0 that applies. An unknown verdict counts as INVALID.
func ExitCode(outputsDiffer bool, verdicts ...Verdict) int {
	found := map[int]bool{ExitDiffers: outputsDiffer}
	for _, v := range verdicts {
		found[v.exitCode()] = true
	}
	for _, code := range []int{ExitInvalid, ExitDiffers, ExitSlower, ExitInconclusive} {
		if found[code] {
			return code
		}
	}
	return ExitOK
}

func (v Verdict) exitCode() int {
	switch v {
	case Same, Faster:
		return ExitOK
	case Slower:
		return ExitSlower
	case Inconclusive:
		return ExitInconclusive
	}
	return ExitInvalid
}
