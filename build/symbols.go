package build

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
)

// functions are the names of the functions that an object defines for others,
// without their parameters: "rotary_embedding", "cpu_utils::expand_kernel_impl".
func (k *kit) functions(ctx context.Context, object string) ([]string, error) {
	out, err := exec.CommandContext(ctx, k.nm, "--defined-only", "--extern-only", "--demangle", "--format=posix", object).Output()
	if err != nil {
		return nil, fmt.Errorf("read symbols of %s: %w", object, err)
	}
	return definedFunctions(string(out)), nil
}

// definedFunctions reads nm's lines "NAME TYPE VALUE SIZE", where a demangled
// name has spaces of its own. Instances of templates are left out: their names
// begin with the type that they return, and no op is registered by one.
func definedFunctions(output string) []string {
	var names []string
	lines := bufio.NewScanner(strings.NewReader(output))
	lines.Buffer(nil, 16<<20) // names of CUTLASS kernels are long
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		kind := slices.IndexFunc(fields, func(f string) bool { return f == "T" })
		if kind <= 0 || kind < len(fields)-3 {
			continue
		}
		name, _, _ := strings.Cut(strings.Join(fields[:kind], " "), "(")
		if name != "" && !strings.ContainsAny(name, " <>") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
