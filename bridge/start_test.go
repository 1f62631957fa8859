package bridge

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// childOrder makes the calls in every wrong order.
func childOrder(lib *Library, python Python, _ string) {
	var view View
	calls := func(when string) {
		_, submitted := lib.Submit(oneRequest(1, 5))
		_, called := lib.Call("threads", []byte("null"))
		fmt.Printf("%s: step: %v\n", when, lib.Step(0, 0, &view))
		fmt.Printf("%s: submit: %v\n", when, submitted)
		fmt.Printf("%s: call: %v\n", when, called)
	}
	_, err := lib.Open([]byte(engineConfig))
	fmt.Printf("no interpreter: open: %v\n", err)
	calls("no interpreter")
	must(lib.Start(startOptions(python)))
	fmt.Printf("started: start: %v\n", lib.Start(startOptions(python)))
	calls("started")
	_, err = lib.Open([]byte(engineConfig))
	must(err)
	_, err = lib.Open([]byte(engineConfig))
	fmt.Printf("open: open: %v %v\n", err, errors.Is(err, ErrState))
	calls("open")
}

func TestCallsOutOfOrder(t *testing.T) {
	wantChild(t, "order", "", `no interpreter: open: called out of order: the interpreter is not started
no interpreter: step: called out of order: the interpreter is not started
no interpreter: submit: called out of order: the interpreter is not started
no interpreter: call: called out of order: the interpreter is not started
started: start: called out of order: Python is started already
started: step: called out of order: no engine is open
started: submit: called out of order: no engine is open
started: call: called out of order: no engine is open
open: open: called out of order: an engine is open already; a process holds one true
open: step: <nil>
open: submit: <nil>
open: call: <nil>
`)
}

// childStart starts what arg says, "program" or "program:module", and shows
// that nothing but an error came of it.
func childStart(lib *Library, python Python, arg string) {
	options := startOptions(python)
	program, module, _ := strings.Cut(arg, ":")
	options.Python, options.Module = first(program, options.Python), first(module, options.Module)
	err := lib.Start(options)
	fmt.Printf("start: %v\n", err)
	var view View
	stepped := lib.Step(0, 0, &view)
	_, opened := lib.Open([]byte(engineConfig))
	fmt.Println(errors.Is(err, ErrInit), errors.Is(stepped, ErrState), errors.Is(opened, ErrState))
}

// minor is "3.12" for a shim built for Python 3.12.3.
func minor(lib *Library) string { return lib.BuildPython[:strings.LastIndex(lib.BuildPython, ".")] }

func TestStart_Errors(t *testing.T) {
	lib := loaded(t)
	dir := realDir(t)
	// An installation whose standard library is a stub, as one of another
	// version would be.
	empty := write(t, filepath.Join(dir, "empty/bin/python"), "")
	write(t, filepath.Join(dir, "empty/lib/python"+minor(lib)+"/os.py"), "")
	if err := os.Mkdir(filepath.Join(dir, "empty/lib/python"+minor(lib)+"/lib-dynload"), 0o755); err != nil {
		t.Fatal(err)
	}
	// An installation that works, in another place than the shim's.
	other := write(t, filepath.Join(dir, "other/bin/python"), "")
	symlink(t, filepath.Join(lib.BuildPrefix, "lib"), filepath.Join(dir, "other/lib"))

	tests := []struct{ name, arg, want string }{
		{
			name: "another version's library", arg: empty,
			want: "start: python did not start: init_fs_encoding: failed to get the Python codec of the filesystem encoding\n" +
				"true true true\n",
		},
		{
			name: "another installation", arg: other,
			want: "start: python did not start: DIR/other/bin/python belongs to the Python in DIR/other, " +
				"the shim was built for " + lib.BuildPython + " in " + lib.BuildPrefix + "\n" +
				"true true true\n",
		},
		{
			name: "no such program", arg: filepath.Join(dir, "none/bin/python"),
			want: "start: python did not start: DIR/none/bin/python: No such file or directory\ntrue true true\n",
		},
		{
			name: "no adapter", arg: ":no_such_module",
			want: "start: ModuleNotFoundError: No module named 'no_such_module'\nfalse true true\n",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			stdout, stderr, exit := child(t, "start", tt.arg)
			if exit != 0 {
				t.Fatalf("exit code %d\n%s%s", exit, stdout, stderr)
			}
			newer := strings.NewReplacer(dir, "DIR", // and as Python 3.13 puts it
				"Python: Failed to import encodings module",
				"init_fs_encoding: failed to get the Python codec of the filesystem encoding")
			equal(t, "output", newer.Replace(stdout), tt.want)
		})
	}
}

// The program that the machine's own package made, where it is not the one the
// shim was built for.
func TestStartSystemPython(t *testing.T) {
	system, err := DescribePython("/usr/bin/python3")
	if err != nil {
		t.Skip(err)
	}
	lib := loaded(t)
	if lib.CheckPython(system) == nil {
		t.Skip("the shim was built for it")
	}
	// Without a library of its version there, libpython takes its own, and only
	// CheckPython can tell.
	library := filepath.Join(system.BasePrefix, "lib", "python"+minor(lib), "os.py")
	if !isFile(library) {
		t.Skipf("there is no %s", library)
	}
	stdout, stderr, exit := child(t, "start", system.Executable)
	if exit != 0 || !strings.HasPrefix(stdout, "start: python did not start: ") ||
		!strings.HasSuffix(stdout, "\ntrue true true\n") {
		t.Errorf("exit code %d\n%s%s", exit, stdout, stderr)
	}
}

func TestStartRefusesNUL(t *testing.T) {
	err := (&Library{}).Start(StartOptions{Python: "a\x00b", ModulePath: "/", Module: "c\x00"})
	wantError(t, err, "start python: \"a\\x00b\" contains a NUL byte\n\"c\\x00\" contains a NUL byte")
}
