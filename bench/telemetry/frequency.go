package telemetry

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// FrequenciesMHz are the CPUs' present clocks, by name; empty if unknown.
//
// Source: cpufreq's scaling_cur_freq, or else /proc/cpuinfo, whose "cpu MHz" is
// measured only on CPUs that count their cycles (flag aperfmperf). Without the
// flag, as in most virtual machines, it is a constant of the boot.
func (h *Host) FrequenciesMHz() map[string]float64 {
	if mhz := h.cpufreq(); len(mhz) > 0 {
		return mhz
	}
	return h.cpuinfoMHz()
}

func (h *Host) cpufreq() map[string]float64 {
	names, _ := filepath.Glob(filepath.Join(h.sys, "devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq"))
	mhz := map[string]float64{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		if kHz, err := strconv.ParseFloat(strings.TrimSpace(string(text)), 64); err == nil && kHz > 0 {
			mhz[filepath.Base(filepath.Dir(filepath.Dir(name)))] = kHz / 1e3
		}
	}
	return mhz
}

func (h *Host) cpuinfoMHz() map[string]float64 {
	text, err := os.ReadFile(h.procFile("cpuinfo"))
	if err != nil {
		return nil
	}
	mhz := map[string]float64{}
	name, measured := "", false
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(key) {
		case "processor":
			name = "cpu" + value
		case "flags":
			measured = measured || slices.Contains(strings.Fields(value), "aperfmperf")
		case "cpu MHz":
			if v, err := strconv.ParseFloat(value, 64); err == nil && v > 0 {
				mhz[name] = v
			}
		}
	}
	if !measured {
		return nil
	}
	return mhz
}

// meanMHz is the mean clock of the CPUs, weighted by the time each was at work
// since the reading before: the clock of an idle CPU says nothing about the work.
func meanMHz(mhz map[string]float64, after, before []CPUTime) Value[float64] {
	var sum, weight float64
	cpusSince(after, before, func(name string, busy Value[float64]) {
		if f, ok := mhz[name]; ok && busy.Known {
			sum += f * busy.V
			weight += busy.V
		}
	})
	return over(Of(sum), Of(weight))
}
