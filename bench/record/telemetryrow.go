package record

import (
	"strconv"

	"stepbench/bench/telemetry"
)

// Sources of a row of telemetry.parquet.
const (
	sourceHost    = "host"
	sourceDevice  = "device"
	sourceProcess = "process"
)

// telemetryRow is a row of telemetry.parquet: what one source said in one
// sample. A sample is the rows of one before_ns, the host's first. Columns of
// other sources, and what is not known, are null.
type telemetryRow struct {
	BeforeNs int64  `parquet:"before_ns" unit:"ns, CLOCK_MONOTONIC"`
	AfterNs  int64  `parquet:"after_ns" unit:"ns, CLOCK_MONOTONIC"`
	Source   string `parquet:"source,dict" unit:"host, device or process"`
	ID       string `parquet:"id,dict" unit:"UUID of a device, number of a process with all below it"`

	CPUBusyFrac  *float64  `parquet:"cpu_busy_frac" unit:"0..1, of all CPUs"`
	StealFrac    *float64  `parquet:"steal_frac" unit:"0..1, of the time in which CPUs had work"`
	FrequencyMHz *float64  `parquet:"frequency_mhz" unit:"MHz, of working CPUs"`
	CoreBusyFrac []float64 `parquet:"core_busy_frac,list" unit:"0..1, of each CPU"`

	SMUtilFrac        *float64 `parquet:"sm_util_frac" unit:"0..1, time with a kernel running"`
	MemoryUtilFrac    *float64 `parquet:"memory_util_frac" unit:"0..1, time with memory read or written"`
	MemoryUsedBytes   *int64   `parquet:"memory_used_bytes" unit:"bytes"`
	MemoryTotalBytes  *int64   `parquet:"memory_total_bytes" unit:"bytes"`
	PowerWatts        *float64 `parquet:"power_watts" unit:"W"`
	SMClockMHz        *float64 `parquet:"sm_clock_mhz" unit:"MHz"`
	MemoryClockMHz    *float64 `parquet:"memory_clock_mhz" unit:"MHz"`
	TemperatureC      *float64 `parquet:"temperature_c" unit:"°C"`
	ClockReasons      *int64   `parquet:"clock_reasons" unit:"bits of nvmlClocksEventReason"`
	EnergyJ           *float64 `parquet:"energy_j" unit:"J since the driver was loaded"`
	PowerCapNs        *int64   `parquet:"power_cap_ns" unit:"ns since the driver was loaded"`
	SWThermalNs       *int64   `parquet:"sw_thermal_ns" unit:"ns since the driver was loaded"`
	HWThermalNs       *int64   `parquet:"hw_thermal_ns" unit:"ns since the driver was loaded"`
	PowerBrakeNs      *int64   `parquet:"power_brake_ns" unit:"ns since the driver was loaded"`
	PCIeSentBytes     *int64   `parquet:"pcie_sent_bytes" unit:"bytes since the driver was loaded"`
	PCIeReceivedBytes *int64   `parquet:"pcie_received_bytes" unit:"bytes since the driver was loaded"`
	Problem           string   `parquet:"problem,optional,dict" unit:"text"`

	// Performance counters of NVML's GPM over the gpm_period_ns before the sample;
	// null in samples between two readings of them.
	GPMPeriodNs              *int64   `parquet:"gpm_period_ns" unit:"ns"`
	GPMGraphicsUtilFrac      *float64 `parquet:"gpm_graphics_util_frac" unit:"0..1, time with any work"`
	GPMSMUtilFrac            *float64 `parquet:"gpm_sm_util_frac" unit:"0..1, of the SMs that were busy"`
	GPMSMOccupancyFrac       *float64 `parquet:"gpm_sm_occupancy_frac" unit:"0..1, active warps of the most that fit"`
	GPMTensorUtilFrac        *float64 `parquet:"gpm_tensor_util_frac" unit:"0..1, time with tensor operations"`
	GPMDRAMBandwidthUtilFrac *float64 `parquet:"gpm_dram_bandwidth_util_frac" unit:"0..1, of the theoretical most"`
	GPMFP16UtilFrac          *float64 `parquet:"gpm_fp16_util_frac" unit:"0..1, time with FP16 outside of tensor cores"`
	GPMFP32UtilFrac          *float64 `parquet:"gpm_fp32_util_frac" unit:"0..1, time with FP32 outside of tensor cores"`
	GPMPCIeSentMiBPerS       *float64 `parquet:"gpm_pcie_sent_mib_per_s" unit:"MiB/s, from the device"`
	GPMPCIeReceivedMiBPerS   *float64 `parquet:"gpm_pcie_received_mib_per_s" unit:"MiB/s, to the device"`
	GPMNVLinkSentMiBPerS     *float64 `parquet:"gpm_nvlink_sent_mib_per_s" unit:"MiB/s, over all links"`
	GPMNVLinkReceivedMiBPerS *float64 `parquet:"gpm_nvlink_received_mib_per_s" unit:"MiB/s, over all links"`
	GPMProblem               string   `parquet:"gpm_problem,optional,dict" unit:"text, why there are no values"`

	CPUCores            *float64 `parquet:"cpu_cores" unit:"CPUs kept busy"`
	RSSBytes            *int64   `parquet:"rss_bytes" unit:"bytes"`
	Threads             *int64   `parquet:"threads" unit:"threads"`
	InvoluntarySwitches *int64   `parquet:"involuntary_switches" unit:"since each thread began"`
}

// telemetryRows is the long form of samples.
func telemetryRows(samples []telemetry.Sample) []telemetryRow {
	var rows []telemetryRow
	for _, s := range samples {
		rows = append(rows, telemetryRow{
			BeforeNs: s.BeforeNs, AfterNs: s.AfterNs, Source: sourceHost,
			CPUBusyFrac: pointer(s.CPUBusyFrac), StealFrac: pointer(s.StealFrac), FrequencyMHz: pointer(s.FrequencyMHz),
			CoreBusyFrac: s.CoreBusyFrac,
		})
		for _, d := range s.Devices {
			row := telemetryRow{
				BeforeNs: s.BeforeNs, AfterNs: s.AfterNs, Source: sourceDevice, ID: d.UUID,
				SMUtilFrac: pointer(d.Gauges.SMUtilFrac), MemoryUtilFrac: pointer(d.Gauges.MemoryUtilFrac),
				MemoryUsedBytes: pointer(d.Gauges.MemoryUsedBytes), MemoryTotalBytes: pointer(d.Gauges.MemoryTotalBytes),
				PowerWatts: pointer(d.Gauges.PowerWatts),
				SMClockMHz: pointer(d.Gauges.SMClockMHz), MemoryClockMHz: pointer(d.Gauges.MemoryClockMHz),
				TemperatureC: pointer(d.Gauges.TemperatureC),
				EnergyJ:      pointer(d.Counters.EnergyJ), PowerCapNs: pointer(d.Counters.PowerCapNs),
				SWThermalNs: pointer(d.Counters.SWThermalNs), HWThermalNs: pointer(d.Counters.HWThermalNs),
				PowerBrakeNs: pointer(d.Counters.PowerBrakeNs), PCIeSentBytes: pointer(d.Counters.PCIeSentBytes),
				PCIeReceivedBytes: pointer(d.Counters.PCIeReceivedBytes),
				Problem:           d.Unanswered,
			}
			if row.Problem == "" {
				row.Problem = d.Gauges.Problem
			}
			if d.Gauges.Reasons.Known {
				bits := int64(d.Gauges.Reasons.V)
				row.ClockReasons = &bits
			}
			row.setGPM(d.GPM)
			rows = append(rows, row)
		}
		for _, p := range s.Processes {
			rows = append(rows, telemetryRow{
				BeforeNs: s.BeforeNs, AfterNs: s.AfterNs, Source: sourceProcess, ID: strconv.Itoa(p.PID),
				CPUCores: pointer(p.CPUFrac), RSSBytes: pointer(p.RSSBytes),
				Threads: pointer(p.Threads), InvoluntarySwitches: pointer(p.InvoluntarySwitches),
			})
		}
	}
	return rows
}

// samplesOf is the inverse of telemetryRows, without the lists of process ids.
func samplesOf(rows []telemetryRow) []telemetry.Sample {
	var samples []telemetry.Sample
	for i := range rows {
		r := &rows[i]
		if r.Source == sourceHost {
			samples = append(samples, telemetry.Sample{
				BeforeNs: r.BeforeNs, AfterNs: r.AfterNs,
				CPUBusyFrac: value(r.CPUBusyFrac), StealFrac: value(r.StealFrac), FrequencyMHz: value(r.FrequencyMHz),
				CoreBusyFrac: r.CoreBusyFrac,
			})
			continue
		}
		if len(samples) == 0 {
			continue // no such file is written
		}
		s := &samples[len(samples)-1]
		if r.Source == sourceDevice {
			s.Devices = append(s.Devices, r.device())
			continue
		}
		pid, _ := strconv.Atoi(r.ID)
		s.Processes = append(s.Processes, telemetry.ProcessSample{
			PID: pid, CPUFrac: value(r.CPUCores), RSSBytes: value(r.RSSBytes),
			Threads: value(r.Threads), InvoluntarySwitches: value(r.InvoluntarySwitches),
		})
	}
	return samples
}

func (r *telemetryRow) device() telemetry.DeviceReading {
	d := telemetry.DeviceReading{
		UUID: r.ID,
		Gauges: telemetry.Gauges{
			SMClockMHz: value(r.SMClockMHz), MemoryClockMHz: value(r.MemoryClockMHz), TemperatureC: value(r.TemperatureC),
			PowerWatts: value(r.PowerWatts), SMUtilFrac: value(r.SMUtilFrac), MemoryUtilFrac: value(r.MemoryUtilFrac),
			MemoryUsedBytes: value(r.MemoryUsedBytes), MemoryTotalBytes: value(r.MemoryTotalBytes), Problem: r.Problem,
		},
		Counters: telemetry.Counters{
			EnergyJ: value(r.EnergyJ), PowerCapNs: value(r.PowerCapNs), SWThermalNs: value(r.SWThermalNs),
			HWThermalNs: value(r.HWThermalNs), PowerBrakeNs: value(r.PowerBrakeNs),
			PCIeSentBytes: value(r.PCIeSentBytes), PCIeReceivedBytes: value(r.PCIeReceivedBytes),
		},
		GPM: telemetry.GPM{
			PeriodNs: value(r.GPMPeriodNs), GraphicsUtilFrac: value(r.GPMGraphicsUtilFrac), SMUtilFrac: value(r.GPMSMUtilFrac),
			SMOccupancyFrac: value(r.GPMSMOccupancyFrac), TensorUtilFrac: value(r.GPMTensorUtilFrac),
			DRAMBandwidthUtilFrac: value(r.GPMDRAMBandwidthUtilFrac), FP16UtilFrac: value(r.GPMFP16UtilFrac), FP32UtilFrac: value(r.GPMFP32UtilFrac),
			PCIeSentMiBPerS: value(r.GPMPCIeSentMiBPerS), PCIeReceivedMiBPerS: value(r.GPMPCIeReceivedMiBPerS),
			NVLinkSentMiBPerS: value(r.GPMNVLinkSentMiBPerS), NVLinkReceivedMiBPerS: value(r.GPMNVLinkReceivedMiBPerS),
			Problem: r.GPMProblem,
		},
	}
	if r.ClockReasons != nil {
		d.Gauges.Reasons = telemetry.Of(uint64(*r.ClockReasons))
	}
	return d
}

func (r *telemetryRow) setGPM(g telemetry.GPM) {
	r.GPMPeriodNs, r.GPMProblem = pointer(g.PeriodNs), g.Problem
	r.GPMGraphicsUtilFrac, r.GPMSMUtilFrac, r.GPMSMOccupancyFrac = pointer(g.GraphicsUtilFrac), pointer(g.SMUtilFrac), pointer(g.SMOccupancyFrac)
	r.GPMTensorUtilFrac, r.GPMDRAMBandwidthUtilFrac = pointer(g.TensorUtilFrac), pointer(g.DRAMBandwidthUtilFrac)
	r.GPMFP16UtilFrac, r.GPMFP32UtilFrac = pointer(g.FP16UtilFrac), pointer(g.FP32UtilFrac)
	r.GPMPCIeSentMiBPerS, r.GPMPCIeReceivedMiBPerS = pointer(g.PCIeSentMiBPerS), pointer(g.PCIeReceivedMiBPerS)
	r.GPMNVLinkSentMiBPerS, r.GPMNVLinkReceivedMiBPerS = pointer(g.NVLinkSentMiBPerS), pointer(g.NVLinkReceivedMiBPerS)
}

func pointer[T int64 | float64](v telemetry.Value[T]) *T {
	if !v.Known {
		return nil
	}
	return &v.V
}

func value[T int64 | float64](p *T) telemetry.Value[T] {
	if p == nil {
		return telemetry.Value[T]{}
	}
	return telemetry.Of(*p)
}
