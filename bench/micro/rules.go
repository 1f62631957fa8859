package micro

import (
	"fmt"
	"strings"
)

// Rules say how long and how often cells are measured.
type Rules struct {
	Name string

	// WarmSteps of every shape run first, or one that takes longer than RoundNs.
	// Steady then repeats one shape until successive windows agree.
	WarmSteps int
	Steady    bool

	// A cell gets MinRounds rounds, then more until the half-width of its
	// interval is at most HalfWidth of the median, or MaxRounds (0: no limit)
	// are done, or the next would take it beyond CapNs, set-up included.
	MinRounds, MaxRounds int
	HalfWidth            float64
	CapNs                int64

	// A round has RoundSteps steps and RoundNs of measured time, or either of
	// them; but not more time than CapNs leaves each of MinRounds.
	RoundSteps int
	RoundNs    int64
	Either     bool

	// Bursts profiled bursts of up to BurstSteps steps and about BurstNs count.
	// One that does not precedes them in cells whose steps are below BurstNs. With
	// OneLong, cells whose steps are above get a single burst.
	Bursts, BurstSteps int
	BurstNs            int64
	OneLong            bool
}

// QuickRules are for a first look: a few rounds of a few steps. The number of
// rounds is fixed: of so few, those that happen to agree end early with an
// interval that is too narrow. Where runs differ by 0.7 of what rounds do, 3
// rounds give intervals of two runs that meet in 97 % of pairs, 3 to 5 of them
// until ±2 % is reached in 92 % (simulated).
func QuickRules() Rules {
	return Rules{
		Name: "quick", WarmSteps: 2,
		MinRounds: 3, MaxRounds: 3, HalfWidth: 0.02, CapNs: 10e9,
		RoundSteps: 8, RoundNs: 300e6, Either: true,
		Bursts: 2, BurstSteps: 4, BurstNs: 150e6, OneLong: true,
	}
}

// StandardRules are for figures that others are to rely on.
func StandardRules() Rules {
	return Rules{
		Name: "standard", WarmSteps: 2, Steady: true,
		MinRounds: 6, HalfWidth: 0.005, CapNs: 15e9,
		RoundSteps: 32, RoundNs: 500e6,
		Bursts: 3, BurstSteps: 8, BurstNs: 500e6,
	}
}

// RulesByName finds rules by the name that a user gives.
func RulesByName(name string) (Rules, error) {
	var names []string
	for _, r := range []Rules{QuickRules(), StandardRules()} {
		if r.Name == name {
			return r, nil
		}
		names = append(names, r.Name)
	}
	return Rules{}, fmt.Errorf("--profile %q: want one of %s", name, strings.Join(names, ", "))
}

// roundSteps is how many steps of about stepNs a round needs that has some
// steps and ns of measured time already. A tenth more is planned, so that a
// round falls short of its time only if steps became faster.
func (r Rules) roundSteps(stepNs float64, steps int, ns int64) int {
	n := r.RoundSteps - steps
	if stepNs <= 0 {
		return max(1, n)
	}
	byTime := int(1.1*float64(r.RoundNs-ns)/stepNs) + 1
	if r.Either {
		n = min(n, byTime)
	} else {
		n = max(n, byTime)
	}
	return max(1, min(n, int(float64(r.roundCapNs()-ns)/stepNs)))
}

// roundCapNs is the most measured time of a round: what the cap leaves it.
func (r Rules) roundCapNs() int64 { return r.CapNs / int64(max(1, r.MinRounds)) }

// short says that a round of n steps in ns of measured time should go on.
func (r Rules) short(n int, ns int64) bool {
	switch {
	case ns >= r.roundCapNs():
		return false
	case r.Either:
		return n < r.RoundSteps && ns < r.RoundNs
	}
	return n < r.RoundSteps || ns < r.RoundNs
}

// bursts is how many bursts count, of steps of about stepNs.
func (r Rules) bursts(stepNs float64) int {
	if r.OneLong && stepNs > float64(r.BurstNs) {
		return 1
	}
	return r.Bursts
}

// burstSteps is how many steps of about stepNs a burst has.
func (r Rules) burstSteps(stepNs float64) int {
	if stepNs <= 0 {
		return 1
	}
	return max(1, min(r.BurstSteps, int(float64(r.BurstNs)/stepNs)))
}
