package capacity

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Device is what an estimate knows of a GPU. Zero rates are not known.
type Device struct {
	Name string `json:"name"`
	// MemoryBytes is all that CUDA reports of it (cudaMemGetInfo), a little less
	// than the datasheet and NVML say. vLLM takes its share of this.
	MemoryBytes int64 `json:"memory_bytes"`
	// BytesPerS and FLOPPerS are the peaks of its memory and of dense products in
	// 16 bits.
	BytesPerS float64 `json:"memory_bytes_per_s,omitempty"`
	FLOPPerS  float64 `json:"flop_per_s,omitempty"`
	Source    string  `json:"source"`

	link string // usual between two of them
}

const gib = 1 << 30

// memoryNote: the datasheet's memory is not what CUDA reports.
const memoryNote = "; memory as CUDA reports it in torch's out-of-memory messages"

// devices have the figures of NVIDIA's datasheets, whose tensor figures "with
// sparsity" are halved.
var devices = []Device{
	{"h200", gibs(139.80), 4.8e12, 989e12, "nvidia.com/en-us/data-center/h200 (SXM: 141 GB, 4.8 TB/s)" + memoryNote, "nvlink4"},
	{"h100", gibs(79.18), 3.35e12, 989e12, "nvidia.com/en-us/data-center/h100 (SXM: 80 GB, 3.35 TB/s)" + memoryNote, "nvlink4"},
	{"a100-80g", gibs(79.15), 2.039e12, 312e12, "nvidia.com/en-us/data-center/a100 (SXM: 80 GB, 2,039 GB/s)" + memoryNote, "nvlink3"},
	{"a100-40g", gibs(39.38), 1.555e12, 312e12, "nvidia.com/en-us/data-center/a100 (SXM: 40 GB, 1,555 GB/s)" + memoryNote, "nvlink3"},
	{"l40s", gibs(44.39), 0.864e12, 362e12, "nvidia.com/en-us/data-center/l40s (48 GB, 864 GB/s)" + memoryNote, "pcie4"},
}

func gibs(x float64) int64 { return int64(x * gib) }

// DeviceNames are those that FindDevice knows.
func DeviceNames() []string {
	var names []string
	for _, d := range devices {
		names = append(names, d.Name)
	}
	return names
}

var sizeText = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?)(|GiB|MiB|GB)$`)

// FindDevice is the device of that name, or one of so many bytes of memory of
// which nothing else is known: "85899345920", "80GiB", "80GB".
func FindDevice(text string) (Device, error) {
	for _, d := range devices {
		if strings.EqualFold(d.Name, text) {
			return d, nil
		}
	}
	m := sizeText.FindStringSubmatch(text)
	if m == nil {
		return Device{}, fmt.Errorf("device %q: choose one of %s, or give its memory as 80GiB or in bytes", text, strings.Join(DeviceNames(), ", "))
	}
	n, err := strconv.ParseFloat(m[1], 64)
	bytes := n * map[string]float64{"": 1, "MiB": 1 << 20, "GiB": gib, "GB": 1e9}[m[2]]
	if err != nil || bytes < 1<<20 || bytes > 1<<50 {
		return Device{}, fmt.Errorf("device %q: the memory of a device is between 1 MiB and 1 PiB", text)
	}
	return Device{Name: text, MemoryBytes: int64(bytes), Source: "given"}, nil
}

// byName finds the figures of a device by what its driver calls it.
var byName = []struct{ part, device string }{{"H200", "h200"}, {"H100 80GB HBM3", "h100"}, {"A100-SXM4-80GB", "a100-80g"}, {"A100-SXM4-40GB", "a100-40g"}, {"L40S", "l40s"}}

// Present describes the device that this machine has: memory as its driver reports
// it, rates by its name.
func Present(name string, memory int64) Device {
	d := Device{}
	for _, n := range byName {
		if strings.Contains(name, n.part) {
			d, _ = FindDevice(n.device)
		}
	}
	source := "NVML: this machine's, memory"
	if d.Source != "" {
		source += "; rates: " + strings.TrimSuffix(d.Source, memoryNote)
	}
	d.Name, d.MemoryBytes, d.Source = name, memory, source
	return d
}

// Link carries the data of collectives between two devices.
type Link struct {
	Name string `json:"name"`
	// BytesPerS goes in one direction.
	BytesPerS float64 `json:"bytes_per_s"`
	Source    string  `json:"source"`
}

// links have half of the bidirectional figures that vendors give.
var links = []Link{
	{"nvlink5", 900e9, "nvidia.com/en-us/data-center/nvlink (1,800 GB/s a GPU, both directions)"},
	{"nvlink4", 450e9, "nvidia.com/en-us/data-center/nvlink (900 GB/s a GPU, both directions)"},
	{"nvlink3", 300e9, "nvidia.com/en-us/data-center/nvlink (600 GB/s a GPU, both directions)"},
	{"pcie5", 63e9, "PCI Express 5.0 x16: 32 GT/s, 16 lanes, 128b/130b, one direction"},
	{"pcie4", 31.5e9, "PCI Express 4.0 x16: 16 GT/s, 16 lanes, 128b/130b, one direction"},
}

// LinkNames are those that FindLink knows.
func LinkNames() []string {
	var names []string
	for _, l := range links {
		names = append(names, l.Name)
	}
	return names
}

// FindLink is the link of that name, or one of so many GB/s in one direction;
// without a text that which is usual between such devices, pcie4 if none is.
func FindLink(text string, d Device) (Link, error) {
	if text == "" {
		text = d.link
	}
	if text == "" {
		text = "pcie4"
	}
	if i := slices.IndexFunc(links, func(l Link) bool { return strings.EqualFold(l.Name, text) }); i >= 0 {
		return links[i], nil
	}
	gb, err := strconv.ParseFloat(text, 64)
	if err != nil || !(gb > 0 && gb < 1e6) {
		return Link{}, fmt.Errorf("link %q: choose one of %s, or give its GB/s in one direction", text, strings.Join(LinkNames(), ", "))
	}
	return Link{Name: text + " GB/s", BytesPerS: gb * 1e9, Source: "given"}, nil
}
