package suitereport

import (
	"cmp"
	"fmt"
	"strings"

	"stepbench/bench/analysis"
	"stepbench/bench/record"
	"stepbench/bench/report"
)

// banners say first what a reader must know before any number.
func (v view) banners() []string {
	var out []string
	switch v.State {
	case record.Complete:
	case record.Interrupted:
		out = append(out, "INTERRUPTED. The suite was stopped early; what follows is what was measured until then.")
	case record.Failed:
		out = append(out, "FAILED. What follows is what was measured until then.")
	default:
		out = append(out, "UNFINISHED. The suite is still going on or was killed; what follows is what was measured until then.")
	}
	if v.Profile == "quick" {
		out = append(out, "QUICK profile: short windows and few requests, good for a first look. Small differences between configurations mean nothing.")
	}
	for _, e := range v.Engines {
		if e.Config.Model.Synthetic {
			out = append(out, "Models marked as random weights have the right shapes: their speed is meaningful, their output is not.")
			break
		}
	}
	return append(out, v.Warnings...)
}

func (v view) lead() []string {
	span := v.StartUTC.UTC().Format("2006-01-02 15:04:05 UTC")
	if !v.EndUTC.IsZero() {
		span += fmt.Sprintf(", %.0f s", v.EndUTC.Sub(v.StartUTC).Seconds())
	}
	measured := 0
	for _, p := range v.all() {
		if p.Requests > 0 {
			measured++
		}
	}
	lead := fmt.Sprintf("Suite %s, profile %s, %s. %d of %s measured, %s, %s not run.", v.Suite, v.Profile, span,
		measured, plural(len(v.Points), "configuration"), plural(len(v.Engines), "engine"), plural(len(v.NotRun), "configuration"))
	return []string{lead, "Values in parentheses after a number are its 95 % interval. A dash stands for what the records do not have; the reason is below the table."}
}

func (v view) machine() []block {
	h := v.Host
	t := newTable(textColumn("part"), textColumn("what"))
	t.add(say("Host"), say(fmt.Sprintf("%s, %s, %s GiB of memory, %s/%s %s%s", cmp.Or(h.CPUModel, "unknown CPU"), plural(h.CPUs, "CPU"),
		number(float64(h.MemoryBytes)/(1<<30)), h.OS, h.Arch, h.Kernel, map[bool]string{true: ", virtual"}[h.Hypervisor])))
	tool := v.Tool.Version
	if v.Tool.Commit != "" {
		tool += " (" + v.Tool.Commit + ")"
	}
	t.add(say("stepbench"), say(tool+", "+v.Tool.Go))
	for _, e := range v.Engines {
		t.add(say("Engine "+e.Name), say(engineText(v.Analysis, e)))
	}
	blocks := []block{t.block()}
	if m := v.modules(); len(m.Rows) > 0 {
		blocks = append(blocks, heading("Kernel libraries in the process"), m.block())
	}
	blocks = append(blocks, heading("How vLLM got here, and how to change it"), text("vLLM runs inside the benchmark's worker process: a C shim loads the Python of the virtual environment, and Python loads the libraries above, whose hashes are of the files as they were loaded. Without a variant they are those of the installed package."))
	blocks = append(blocks, v.installed())
	blocks = append(blocks,
		text("Install or repair: Python, vLLM, torch and the build tools come from locked, hashed sets in requirements/."),
		code("# cpu.txt, or cuda.txt where an NVIDIA driver answers\nmake setup\n# the C shim by CMake, and out/stepbench\nmake build"),
		text("Change a kernel in csrc: only the units that the change affects are compiled, with the flags of vLLM's own CMake files, and registered over the installed ops."),
		code("# the pristine source, in out/vllm-source\nmake vllm-source\ncp -r out/vllm-source my-vllm\n$EDITOR my-vllm/csrc/cpu/pos_encoding.cpp\nout/stepbench build mine --source my-vllm"+deviceFlag(v)+"\n# what it changes, with intervals\nout/stepbench ab stock mine --eager"),
		text("Change a schema or CMake files: build the whole module by vLLM's own CMake targets, in the tree."),
		code("out/stepbench build mine --source my-vllm --full"+deviceFlag(v)),
		text("Change Python parts of vLLM: edit the package installed in .venv and run the suite again; rm -rf .venv and make setup bring the locked version back. The long form of all this is docs/BUILD_INSTRUCTIONS.md."),
		text("Command:"), code(report.Shell(v.Args)))
	return blocks
}

func deviceFlag(v view) string {
	if v.onCPU() {
		return ""
	}
	return " --device cuda"
}

func (v view) installed() block {
	var items []string
	for _, e := range v.Engines {
		kernels := "the kernels it came with"
		if e.Info.Variant != nil {
			kernels = fmt.Sprintf("variant %s, which replaces %s", e.Info.Variant.Name, strings.Join(e.Info.Variant.Ops, ", "))
		}
		items = append(items, fmt.Sprintf("%s: vLLM %s, torch %s, Python %s, %s; opened in %s s, of which compiling %s s.", e.Name,
			cmp.Or(e.Info.VLLMVersion, absent), cmp.Or(e.Info.TorchVersion, absent), cmp.Or(e.Info.PythonVersion, absent), kernels,
			number(e.Info.OpenSeconds), number(e.Info.CompileSeconds)))
	}
	if len(items) == 0 {
		items = []string{"No engine was opened."}
	}
	return list(items)
}

func engineText(a *analysis.Analysis, e analysis.Engine) string {
	i := e.Info
	if i.VLLMVersion == "" {
		return "never opened"
	}
	onOff := map[bool]string{true: "on", false: "off"}
	return fmt.Sprintf("%s (%s), %s, graphs %s, attention %s, async scheduling %s, prefix cache %s; %d tokens of context, %d sequences and %d tokens a step, KV cache of %d × %d tokens",
		deviceName(a, e), i.Platform, i.DType, cmp.Or(i.GraphMode, absent), cmp.Or(i.AttentionBackend, absent), onOff[i.AsyncScheduling], onOff[i.PrefixCaching],
		i.MaxModelLen, i.MaxNumSeqs, i.MaxNumBatchedTokens, i.KVBlocks, i.KVBlockSize)
}

// modules lists each loaded library once.
func (v view) modules() *table {
	t := newTable(textColumn("module"), textColumn("file"), textColumn("SHA-256"))
	seen := map[string]bool{}
	for _, e := range v.Engines {
		files := e.Info.Modules
		if e.Info.Variant != nil {
			files = append(files[:len(files):len(files)], e.Info.Variant.Files...)
		}
		for _, m := range files {
			if !seen[m.SHA256] {
				seen[m.SHA256] = true
				t.add(say(m.Name), say(insidePackages(m.Path)), say(m.SHA256))
			}
		}
	}
	return t
}

// insidePackages is path from the packages folder on: where the checkout lies
// says nothing.
func insidePackages(path string) string {
	if i := strings.LastIndex(path, "site-packages/"); i >= 0 {
		return path[i:]
	}
	return path
}
