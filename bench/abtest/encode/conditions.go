package encode

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"stepbench/bench/abtest"
	"stepbench/bench/telemetry"
	"stepbench/engine"
	"stepbench/internal/decimal"
	"stepbench/internal/markdown"
)

// summaryLine says what was compared, how much and how long it took.
func summaryLine(c *Comparison) words {
	ev := c.Evidence
	w := append(name(ev.Sides[abtest.ArmB].Name), say(" (B) against ")...)
	w = append(append(w, name(ev.Sides[abtest.ArmA].Name)...), say(" (A)")...)
	parts := []string{modelName(ev.Model)}
	if i := info(ev); i.Device != "" {
		parts = append(parts, i.Device)
	}
	parts = append(parts, planText(ev), "took "+duration(ev.ElapsedS))
	return append(w, say(" · "+strings.Join(parts, " · "))...)
}

func modelName(m engine.Model) string {
	if m.Synthetic {
		return m.Name + " (random weights)"
	}
	return m.Name
}

func planText(ev *abtest.Evidence) string {
	p := ev.Plan
	return fmt.Sprintf("plan %s, %s × %d + %d quads, δ %s %%", p.Name, plural(len(ev.Launches), "launch", "launches"),
		p.AttributionQuads, p.TimingQuads, calls(100*p.Margin))
}

// planFacts are the whole of the plan.
func planFacts(ev *abtest.Evidence) string {
	p := ev.Plan
	var looks []string
	for _, l := range p.Looks {
		looks = append(looks, fmt.Sprintf("%s at α = %g", plural(l.Launches, "launch", "launches"), l.Alpha))
	}
	return fmt.Sprintf("%s: a verdict after %s; per launch and shape %d attribution and %d timing quads; margin %s %%",
		p.Name, strings.Join(looks, ", else "), p.AttributionQuads, p.TimingQuads, calls(100*p.Margin))
}

// info is what the last launch's baseline said of its engine.
func info(ev *abtest.Evidence) *engine.Info {
	if len(ev.Launches) == 0 {
		return &engine.Info{}
	}
	return &ev.Launches[len(ev.Launches)-1].Info[abtest.ArmA]
}

// condition is one row of the table of conditions.
type condition struct {
	Name  string
	Value words
}

// conditions are all that the numbers depend on.
func conditions(c *Comparison) []condition {
	ev, i := c.Evidence, info(c.Evidence)
	var all []condition
	add := func(name string, value words) { all = append(all, condition{name, value}) }
	text := func(name, format string, args ...any) { add(name, say(fmt.Sprintf(format, args...))) }
	for w, side := range ev.Sides {
		add(abtest.Which(w).String(), sideWords(side))
	}
	text("Model", "%s", modelText(ev.Model))
	if len(ev.Launches) > 0 {
		text("Device", "%s", join(" · ", i.Device, i.Platform, i.DeviceUUID))
		if l := limits(ev.Device); l != "" {
			text("Device limits", "%s", l)
		}
		text("Engine", "%s", join(" · ", prefixed("vLLM ", i.VLLMVersion), prefixed("torch ", i.TorchVersion), prefixed("Python ", i.PythonVersion), prefixed("host process ", string(i.HostMode))))
		text("Execution", "%s", join(" · ", i.DType, prefixed("attention ", i.AttentionBackend), prefixed("graphs ", i.GraphMode), "prefix cache "+onOff(i.PrefixCaching), "async scheduling "+onOff(i.AsyncScheduling)))
		text("Limits", "%d tokens of context, %d sequences and %d tokens a step, KV cache of %d × %d tokens",
			i.MaxModelLen, i.MaxNumSeqs, i.MaxNumBatchedTokens, i.KVBlocks, i.KVBlockSize)
		if env := pairs(i.Env, "="); env != "" {
			text("Environment", "%s", env)
		}
	}
	text("Plan", "%s", planFacts(ev))
	text("Steps of a burst", "%s", pairs(ev.BurstSteps, ": "))
	var starts []string
	for _, l := range ev.Launches {
		starts = append(starts, fmt.Sprintf("%d: %s first, open after %.1f (A) and %.1f s (B)", l.Number, l.First, l.OpenS[0], l.OpenS[1]))
	}
	text("Launches", "%s", orAbsent(strings.Join(starts, "; ")))
	text("Seed", "%d", ev.Seed)
	for _, f := range c.Setup {
		text(f.Name, "%s", f.Value)
	}
	text("stepbench", "%s", orAbsent(c.Version))
	if !c.Start.IsZero() {
		text("Started", "%s", c.Start.UTC().Format("2006-01-02 15:04:05 UTC"))
	}
	text("Took", "%s", duration(ev.ElapsedS))
	return all
}

// limits are what a device's speed depends on beside its name.
func limits(l telemetry.Limits) string {
	var parts []string
	if l.DriverMajor > 0 {
		parts = append(parts, fmt.Sprintf("driver %d", l.DriverMajor))
	}
	if l.MemoryBytes > 0 {
		parts = append(parts, fmt.Sprintf("%.1f GiB", float64(l.MemoryBytes)/(1<<30)))
	}
	if l.PowerLimitWatts > 0 {
		parts = append(parts, fmt.Sprintf("power limit %.0f W", l.PowerLimitWatts))
	}
	return strings.Join(parts, " · ")
}

// sideWords name an arm, its files by hash and the ops in them.
func sideWords(s abtest.Side) words {
	w := name(s.Name)
	if s.Variant == nil {
		return append(w, say(", the kernels vLLM was installed with")...)
	}
	if s.Unchanged {
		w = append(w, say(", unchanged source compiled again")...)
	}
	files := slices.Sorted(maps.Keys(s.Variant.SHA256))
	for _, path := range files {
		w = append(w, say(", ")...)
		w = append(w, piece{Text: shorten(markdown.OneLine(path[strings.LastIndex(path, "/")+1:])), Code: true, Whole: path})
		sum := s.Variant.SHA256[path]
		w = append(w, piece{Text: " (SHA-256 " + sum[:min(12, len(sum))] + ")", Whole: sum})
	}
	for k, op := range s.Variant.Ops {
		sep := ", "
		if k == 0 {
			sep = ", ops "
		}
		w = append(append(w, say(sep)...), name(op)...)
	}
	return w
}

func modelText(m engine.Model) string {
	text := modelName(m)
	if s := m.Shape; s != nil {
		text += fmt.Sprintf(", %s, %s, hidden size %d, %.4g M parameters", s.Architecture, plural(s.Layers, "layer", "layers"), s.Hidden, float64(s.Parameters)/1e6)
	}
	if m.ConfigSHA256 != "" {
		text += ", config " + m.ConfigSHA256[:min(12, len(m.ConfigSHA256))]
	}
	return text
}

// join leaves empty parts out.
func join(sep string, parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), sep)
}

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}

func pairs[V any](m map[string]V, sep string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%s%s%v", k, sep, m[k]))
	}
	return strings.Join(parts, ", ")
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func orAbsent(s string) string {
	if s == "" {
		return decimal.Absent
	}
	return s
}
