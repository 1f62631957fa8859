package bridge

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"stepbench/internal/golden"
)

// childOddAdapter opens engines that cannot be bound, then a good one, and lets
// that return what no engine should (testdata/odd/odd_adapter.py).
func childOddAdapter(lib *Library, python Python, _ string) {
	must(lib.Start(StartOptions{Python: python.Executable, ModulePath: "testdata/odd", Module: "odd_adapter"}))
	var view View
	for _, config := range oddConfigs {
		_, err := lib.Open([]byte(config))
		stepped := lib.Step(0, 0, &view)
		_, called := lib.Call("number", nil)
		_, submitted := lib.Submit(oneRequest(1, 5))
		half := !errors.Is(stepped, ErrState) || !errors.Is(called, ErrState) || !errors.Is(submitted, ErrState)
		fmt.Printf("open %s: %v; half open: %v\n", config, err, half)
	}
	_, err := lib.Open([]byte("{}"))
	must(err)
	for _, method := range []string{"number", "none", "surrogate"} {
		_, err := lib.Call(method, nil)
		fmt.Printf("call %s: %v\n", method, err)
	}
	for _, name := range oddSteps {
		_, err := lib.Call("next", []byte(name))
		must(err)
		if err = lib.Step(0, 0, &view); err != nil {
			printOdd(name, err)
		} else {
			fmt.Printf("step %s: %+v %v %v\n", name, view.Outputs, view.Tokens, view.Stats)
		}
		must(lib.Step(0, 0, &view)) // the shim is none the worse for it
		if len(view.Outputs) != 1 || view.Outputs[0].TokenLen != 1 || view.Tokens[0] != 5 {
			fmt.Printf("after %s: %+v\n", name, view)
		}
	}
	fmt.Println("leaks:", leaks(lib))
}

// leaks lists the calls, good and bad, after which Python objects stay behind.
func leaks(lib *Library) []string {
	blocks := func() (n int) {
		reply, err := lib.Call("blocks", nil)
		must(err)
		must(json.Unmarshal(reply, &n))
		return n
	}
	var view View
	calls := map[string]func(){
		"submit":       func() { lib.Submit(oneRequest(1, 5, 6, 7)) },
		"submit fails": func() { lib.Submit(pack("[]", request{id: 1})) },
		"call":         func() { lib.Call("surrogate", nil) },
		"open":         func() { lib.Open([]byte("{}")) },
		"step limits":  func() { must(lib.Step(1, 1, &view)); must(lib.Step(0, 0, &view)) },
	}
	for _, name := range oddSteps {
		calls["step "+name] = func() {
			lib.Call("next", []byte(name))
			lib.Step(0, 0, &view)
		}
	}
	var names []string
	for name, call := range calls {
		const rounds = 200
		least := rounds
		for range 3 { // Python's caches grow too, but not every time
			before := blocks()
			for range rounds {
				call()
			}
			least = min(least, blocks()-before)
		}
		if least >= rounds {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func printOdd(name string, err error) {
	var e *PythonError
	errors.As(err, &e)
	text := e.Error()
	if len(text) > 1000 {
		text = fmt.Sprintf("%.20s… (%d bytes, %d in the traceback's last line)", text, len(text),
			len(e.Traceback)-strings.LastIndex(e.Traceback[:len(e.Traceback)-1], "\n")-2)
	}
	fmt.Printf("step %s: %s\n", name, text)
	if cause := "OSError: the cause\n\nThe above exception was the direct cause"; strings.Contains(e.Traceback, cause) {
		fmt.Println("  with its cause")
	}
}

var (
	oddConfigs = []string{
		`{"step": null}`, `{"after": null}`, `{"set_limits": null}`, `{"submit": null}`, `{"params": null}`,
		`{"finish": null}`, `{"call": null}`, `{"counters": null}`, `{"counters": 23}`, `{"counters": 0}`,
		`{"info": null}`, `{"info": 5}`,
	}
	oddSteps = []string{
		"fine", "a tuple", "no sequence", "no output", "id is a word", "id is empty", "id is a number", "no parts",
		"parts are rude", "tokens are missing", "tokens are a number", "token is a word", "finished is rude",
		"fails after good ones", "stop", "length", "abort", "error", "no reason", "no stats", "stats are short",
		"stats are a list", "stats hold a word", "stats hold minus one", "lone surrogate", "silent", "long", "chained",
		"keyboard",
	}
)

func TestOddAdapter(t *testing.T) {
	stdout, stderr, exit := child(t, "odd adapter", "")
	if exit != 0 {
		t.Fatalf("exit code %d\n%s%s", exit, stdout, stderr)
	}
	golden.Check(t, "testdata/odd_adapter.stdout", []byte(stdout))
}
