package engine

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// allowedCPUs are the CPUs that this process may use, those of a core side by
// side and those of a package together.
func allowedCPUs() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("sched_getaffinity: %w", err)
	}
	var cpus []int
	for i := 0; len(cpus) < set.Count(); i++ {
		if set.IsSet(i) {
			cpus = append(cpus, i)
		}
	}
	return byCore(cpus, "/sys/devices/system/cpu"), nil
}

// byCore sorts cpus by package, core and number, as far as sysfs tells.
func byCore(cpus []int, sysfs string) []int {
	type place struct{ socket, core, cpu int }
	places := make([]place, len(cpus))
	for i, cpu := range cpus {
		topology := filepath.Join(sysfs, "cpu"+strconv.Itoa(cpu), "topology")
		places[i] = place{readNumber(filepath.Join(topology, "physical_package_id")), readNumber(filepath.Join(topology, "core_id")), cpu}
	}
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.socket, b.socket), cmp.Compare(a.core, b.core), cmp.Compare(a.cpu, b.cpu))
	})
	for i, p := range places {
		cpus[i] = p.cpu
	}
	return cpus
}

// readNumber is 0 where there is none.
func readNumber(path string) int {
	text, _ := os.ReadFile(path)
	n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return n
}
