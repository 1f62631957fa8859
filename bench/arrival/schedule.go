package arrival

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
)

// Schedule draws the arrivals of spec: Requests offsets in ns from the start,
// in ascending order. It depends on spec alone and is bit-identical on every
// machine.
//
// With N requests at rate λ, and a_i the time of request i = 1..N:
//
//	poisson   gaps -ln(U)/λ
//	constant  a_i = i/λ
//	burst     groups of G; a whole group arrives when its last member would
//	          under constant, so groups are G/λ apart
//	gamma     gaps Gamma(k)/(kλ), of mean 1/λ and variation 1/sqrt(k)
//	on-off    Poisson of rate λ·(on+off)/on in the time while on: of a time t
//	          on that clock, a = ⌊t/on⌋·(on+off) + t mod on
//	offline   a_i = 0, as closed, whose requests wait for a free place
//
// Unless spec.Raw, a_i becomes a_i·(N/λ)/a_N.
func Schedule(spec Spec) ([]int64, error) {
	if err := spec.Validate(); err != nil {
		return nil, fmt.Errorf("arrival schedule: %w", err)
	}
	if spec.Pattern == Trace {
		return nil, errors.New("arrival schedule: the times of a trace are in its file")
	}
	n := spec.Requests
	at := make([]float64, n) // seconds
	switch spec.Pattern {
	case Constant:
		for i := range at {
			at[i] = float64(i+1) / spec.RatePerS
		}
	case Burst:
		size := spec.BurstSize
		if size == 0 {
			size = DefaultBurstSize
		}
		for i := range at {
			last := (i/size + 1) * size
			at[i] = float64(min(last, n)) / spec.RatePerS
		}
	case Poisson, Gamma:
		draw := newSource(spec.Key())
		now := 0.0
		for i := range at {
			if spec.Pattern == Poisson {
				now += draw.exponential() / spec.RatePerS
			} else {
				now += draw.gamma(spec.Shape) / float64(spec.Shape*spec.RatePerS)
			}
			at[i] = now
		}
	case OnOff:
		onOff(at, spec)
	}
	if spec.drawsTimes() && !spec.Raw {
		rescale(at, float64(n)/spec.RatePerS)
	}
	offsets := make([]int64, n)
	for i, s := range at {
		offsets[i] = int64(math.Round(s * 1e9))
	}
	return offsets, nil
}

// drawsTimes says whether the last arrival is a matter of chance.
func (s Spec) drawsTimes() bool {
	return s.Pattern == Poisson || s.Pattern == Gamma || s.Pattern == OnOff
}

// onOff fills at with a Poisson process that is interrupted.
func onOff(at []float64, spec Spec) {
	on, off := spec.periods()
	draw := newSource(spec.Key())
	gap := 1 / float64(spec.RatePerS*(on+off)/on) // mean, in s while on
	now := 0.0
	for i := range at {
		now += float64(draw.exponential() * gap)
		period := math.Floor(now / on)
		// The remainder of a float64 division can leave [0, on) by a rounding.
		into := min(max(0, now-float64(period*on)), on)
		at[i] = float64(period*(on+off)) + into
	}
}

// rescale stretches at so that its last value is exactly end: dividing first
// makes the last factor exactly 1.
func rescale(at []float64, end float64) {
	last := at[len(at)-1]
	for i := range at {
		at[i] = at[i] / last * end
	}
}

// source draws variates from a keyed random stream.
type source struct{ rng *rand.ChaCha8 }

func newSource(key string) source {
	return source{rand.NewChaCha8(sha256.Sum256([]byte(key)))}
}

// uniform is from (0, 1], so that its logarithm exists.
func (s source) uniform() float64 { return (float64(s.rng.Uint64()>>11) + 1) * 0x1p-53 }

// exponential has mean 1.
func (s source) exponential() float64 { return -ln(s.uniform()) }

// normal is standard normal: the polar method (Marsaglia and Bray 1964). The
// second variate of each pair is dropped, which keeps the source stateless.
func (s source) normal() float64 {
	for {
		u := 2*s.uniform() - 1 // powers of two are exact, fused or not
		v := 2*s.uniform() - 1
		q := float64(u*u) + float64(v*v)
		if q > 0 && q < 1 {
			return u * math.Sqrt(-2*ln(q)/q)
		}
	}
}

// gamma has shape k, scale 1, mean k: Marsaglia and Tsang, "A simple method
// for generating gamma variables", ACM TOMS 26 (2000). For k < 1 it draws
// shape k+1 and multiplies by U^(1/k), as their section 6 says.
func (s source) gamma(k float64) float64 {
	if k < 1 {
		return s.gamma(k+1) * exp(ln(s.uniform())/k)
	}
	d := k - 1.0/3
	c := 1 / math.Sqrt(9*d)
	for {
		x := s.normal()
		t := 1 + float64(c*x)
		if t <= 0 {
			continue
		}
		v := float64(t * t * t)
		// ln U < x²/2 + d(1 - v + ln v)
		if ln(s.uniform()) < float64(x*x/2)+float64(d*(1-v+ln(v))) {
			return d * v
		}
	}
}
