package build

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// project is the CMake build of one variant.
type project struct {
	k       *kit
	tree    Tree
	dir     string // build folder, shared by variants of one kind
	target  string
	jobs    int
	log     func(string)
	modules []affectedModule

	registered []Registration // once the units are compiled
}

// affectedModule is a module with the units of it to compile.
type affectedModule struct {
	Module
	affected []Unit
}

// buildDir is named by all that what it keeps depends on.
func (k *kit) buildDir(m Module) string {
	parts := slices.Concat([]string{k.cxx, k.cxxVersion, k.torch, k.torchVersion, k.project, k.python, k.launcher, k.nvcc.path, k.nvcc.version}, m.CXX, m.Defines)
	return filepath.Join(k.cache, fmt.Sprintf("%s-%s", k.device, hashStrings(parts...)))
}

func (p *project) registration(m Module) string {
	return filepath.Join(p.own(), m.Name+".register.cpp")
}

// own is the tree's folder for what is generated. Its name stays out of the
// library, which is the same for the same source, wherever that is.
func (p *project) own() string { return filepath.Join(p.dir, p.target) }

func (p *project) library() string { return filepath.Join(p.own(), libraryFile) }

// units to compile as absolute paths, those for the C++ compiler first: the
// order in which CMake lists their objects.
func (p *project) units() []string {
	var cxx, cuda []string
	for _, m := range p.modules {
		for _, u := range m.affected {
			path := filepath.Join(p.tree.Dir, u.Source)
			if strings.HasSuffix(path, ".cu") {
				cuda = append(cuda, path)
			} else {
				cxx = append(cxx, path)
			}
		}
	}
	return append(cxx, cuda...)
}

// configure writes the file that calls stepbench_add_variant, and runs CMake.
func (p *project) configure(ctx context.Context) error {
	file := filepath.Join(p.own(), "variant.cmake")
	if err := writeIfChanged(file, p.text()); err != nil {
		return err
	}
	args := []string{"-S", p.k.project, "-B", p.dir, "-G", "Ninja", "-DCMAKE_MAKE_PROGRAM=" + p.k.ninja,
		"-DCMAKE_CXX_COMPILER=" + p.k.cxx, "-DSTEPBENCH_VARIANT=" + file, "-DCMAKE_CXX_COMPILER_LAUNCHER=" + p.k.launcher, "--log-level=NOTICE"}
	out, err := p.command(ctx, p.k.cmake, args...).CombinedOutput()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return unusable("configure the build in %s: %w\n%s", p.dir, err, out)
	}
	return nil
}

// text is the call of stepbench_add_variant.
func (p *project) text() string {
	first := p.modules[0].Module
	mapped := append(p.k.mapped(), p.mappedTree()...)
	var b strings.Builder
	list := func(key string, values []string) {
		fmt.Fprintf(&b, "  %s", key)
		for _, v := range values {
			fmt.Fprintf(&b, "\n    %s", bracket(v))
		}
		b.WriteString("\n")
	}
	properties := func(path, key string, values []string) {
		if len(values) > 0 {
			fmt.Fprintf(&b, "set_source_files_properties(%s PROPERTIES %s\n  %s)\n", bracket(path), key, bracket(strings.Join(values, ";")))
		}
	}
	var registrations []string
	for _, m := range p.modules {
		registrations = append(registrations, p.registration(m.Module))
		own := p.ownOptions(m.Module)
		// Its includes are those of torch_bindings.cpp, which finds some beside itself.
		beside := filepath.Join(p.tree.Dir, filepath.Dir(m.bindings()))
		properties(p.registration(m.Module), "COMPILE_OPTIONS", append([]string{"-iquote" + beside}, own...))
		for _, u := range m.affected {
			path := filepath.Join(p.tree.Dir, u.Source)
			if strings.HasSuffix(path, ".cu") {
				properties(path, "STEPBENCH_OPTIONS", p.k.nvccOptions(m.Module, u, mapped))
			} else {
				properties(path, "COMPILE_OPTIONS", slices.Concat(own, u.CXX))
			}
		}
	}
	calls := filepath.Join(p.k.project, "calls.cpp")
	fmt.Fprintf(&b, "# The precompiled header takes longer to load than this source to compile.\n")
	fmt.Fprintf(&b, "set_source_files_properties(%s PROPERTIES SKIP_PRECOMPILE_HEADERS ON)\n", bracket(calls))
	fmt.Fprintf(&b, "stepbench_add_variant(%s\n", p.target)
	list("UNITS", p.units())
	list("REGISTRATION", append(registrations, calls))
	list("OUTPUT", []string{p.library()})
	link := p.k.libraries()
	for _, module := range p.k.stock(p.modules) { // last: only for what nothing else has
		link = append(link, "-Wl,"+module) // CMake would make "-l" of a name without "lib"
	}
	list("LINK", link)
	list("SYSTEM_INCLUDES", p.k.systemIncludes())
	list("INCLUDES", append(p.k.includes(first), p.k.project))
	if p.k.device == CPU {
		list("DEFINES", first.Defines)
		list("OPTIONS", append(p.k.cxxOptions(first), p.k.mapped()...))
		list("TREE_OPTIONS", p.mappedTree())
		list("PRECOMPILE", []string{filepath.Join(p.k.project, "precompiled.h")})
	} else {
		list("OPTIONS", mapped)
		list("NVCC", []string{p.k.nvcc.path})
		if p.k.launcher != "" {
			list("LAUNCHER", []string{p.k.launcher})
		}
	}
	b.WriteString(")\n")
	return b.String()
}

// ownOptions are what .cpp sources get for their module's sake where several
// modules, with definitions of their own, go into one library.
func (p *project) ownOptions(m Module) []string {
	if p.k.device == CPU {
		return nil // one module: see OPTIONS
	}
	options := p.k.cxxOptions(m)
	for _, d := range m.Defines {
		options = append(options, "-D"+d)
	}
	return options
}

// bracket quotes for CMake, whatever the text holds.
func bracket(text string) string {
	level := "="
	for strings.Contains(text, "]"+level+"]") {
		level += "="
	}
	return "[" + level + "[" + text + "]" + level + "]"
}

// announce says what is going to take time.
func (p *project) announce() string {
	text := "compiling " + count(len(p.units()), "unit") + " and the registration of its ops"
	if p.k.device == CPU {
		if _, err := os.Stat(filepath.Join(p.dir, "CMakeFiles", "stepbench_precompiled.dir", "cmake_pch.hxx.gch")); err != nil {
			text += ", after the precompiled header (once; about a minute)"
		}
	}
	return text
}

// make builds targets; phase names them in a failure.
func (p *project) make(ctx context.Context, phase string, targets ...string) error {
	cmd := p.command(ctx, p.k.ninja, append([]string{"-C", p.dir, "-j", fmt.Sprint(p.jobs)}, targets...)...)
	cmd.Env = append(os.Environ(), "NINJA_STATUS=[%f/%t] ", "CCACHE_SLOPPINESS=pch_defines,time_macros", "LC_ALL=C.UTF-8")
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return unusable("run %s: %w", p.k.ninja, err)
	}
	diagnosis := p.follow(pipe)
	err = cmd.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return &CompileError{phase, p.tree.userPaths(diagnosis)}
	}
	return nil
}

// follow reports ninja's steps and keeps what compilers say.
func (p *project) follow(pipe io.Reader) string {
	var said bytes.Buffer
	lines := bufio.NewScanner(pipe)
	lines.Buffer(nil, 16<<20)
	skip := false
	for lines.Scan() {
		line := lines.Text()
		switch {
		case skip: // the command after "FAILED: ..."
			skip = false
		case strings.HasPrefix(line, "FAILED: "):
			skip = true
		case strings.HasPrefix(line, "ninja: ") && !strings.HasPrefix(line, "ninja: error: "):
		case strings.HasPrefix(line, "["):
			if step := p.step(line); step != "" {
				p.log(step)
			}
		default:
			said.WriteString(line + "\n")
		}
	}
	io.Copy(io.Discard, pipe) // past a line that is too long
	return said.String()
}

// step turns "[1/3] Building CXX object .../csrc/cpu/a.cpp.o" into "[1/3] csrc/cpu/a.cpp".
func (p *project) step(line string) string {
	count, what, _ := strings.Cut(line, "] ")
	switch {
	case strings.Contains(what, "cmake_pch"):
		what = "precompiled header"
	case strings.Contains(what, ".register.cpp"), strings.Contains(what, "calls.cpp"):
		what = "registration"
	case strings.Contains(what, "Linking"):
		what = "link"
	case strings.Contains(what, "precompiled.cpp"):
		return ""
	default:
		for _, unit := range p.units() {
			rel, _ := filepath.Rel(p.tree.Dir, unit)
			if strings.Contains(what, rel) {
				what = rel
			}
		}
	}
	return count + "] " + what
}

// objects are the compiled units, by source below the tree.
func (p *project) objects() (map[string]string, error) {
	text, err := os.ReadFile(filepath.Join(p.dir, p.target+".objects"))
	if err != nil {
		return nil, err
	}
	units, paths := p.units(), nonEmpty(strings.Split(string(text), "\n"))
	if len(units) != len(paths) {
		return nil, fmt.Errorf("%d units gave %d objects in %s", len(units), len(paths), p.dir)
	}
	objects := map[string]string{}
	for i, unit := range units {
		rel, _ := filepath.Rel(p.tree.Dir, unit)
		object := paths[i]
		if !filepath.IsAbs(object) {
			object = filepath.Join(p.dir, object)
		}
		objects[filepath.ToSlash(rel)] = object
	}
	return objects, nil
}

// command runs in a process group of its own, so that an interrupt ends ninja
// and its compilers together.
func (p *project) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// writeIfChanged leaves a file's age alone where its text stays, so that
// nothing is compiled again for it.
func writeIfChanged(path, text string) error {
	if old, err := os.ReadFile(path); err == nil && string(old) == text {
		return nil
	}
	return writeFile(path, []byte(text))
}
