package suite

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// startS is roughly what an engine takes to open and warm up, for estimates.
const startS = 30.0

// Describe lists what the suite would measure. Durations are those of the
// arrivals: an engine that is slower than its load takes longer.
func (m *Manifest) Describe(w io.Writer) error {
	fmt.Fprintf(w, "suite %s, profile %s: %d points on %d engines\n\n", m.Suite, m.Profile, len(m.Points), len(m.Engines))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "point\tengine\tdataset\tload\trequests\trepeats\tarrivals")
	total := startS * float64(len(m.Engines))
	for i := range m.Points {
		p := &m.Points[i]
		load, span := p.Pattern, 0.0
		requests := 0
		if len(p.Repeats) > 0 {
			requests = p.Repeats[0].Flags.Requests
		}
		arrivals := "–"
		switch {
		case p.RatePerS > 0:
			load = fmt.Sprintf("%s, %g req/s", p.Pattern, p.RatePerS)
			span = float64(requests) / p.RatePerS
			arrivals = fmt.Sprintf("%.1f s", span)
		case p.Concurrency > 0:
			load = fmt.Sprintf("%d at a time", p.Concurrency)
		}
		set := p.Dataset
		if p.StandIn {
			set += " (stand-in)"
		}
		if p.Cut != (DatasetOptions{}) {
			set += " (cut down)"
		}
		total += span * float64(len(p.Repeats))
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%d\t%s\n", p.ID, p.Engine, set, load, requests, len(p.Repeats), arrivals)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, n := range m.NotRun {
		fmt.Fprintf(w, "not run: %s: %s\n", n.What, n.Why)
	}
	for _, warning := range m.Warnings {
		fmt.Fprintf(w, "note: %s\n", warning)
	}
	_, err := fmt.Fprintf(w, "at least %s: arrivals, and %.0f s for each engine to open\n",
		time.Duration(total*float64(time.Second)).Round(time.Second), startS)
	return err
}
