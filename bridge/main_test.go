package bridge

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// Python lives on the main thread, as in the product.
func init() { runtime.LockOSThread() }

// mainThread takes closures from tests, which run on other goroutines.
var mainThread = make(chan func())

func TestMain(m *testing.M) {
	if name := os.Getenv(childEnv); name != "" {
		runChild(name)
		os.Exit(0)
	}
	done := make(chan int)
	go func() { done <- m.Run() }()
	for {
		select {
		case f := <-mainThread:
			f()
		case code := <-done:
			os.Exit(code)
		}
	}
}

// onMain runs f on the main thread. f must not end its goroutine, so it may
// call t.Error, but not t.Fatal.
func onMain(f func()) {
	done := make(chan struct{})
	mainThread <- func() { defer close(done); f() }
	<-done
}

// host is what a test process embeds: the real shim and the fake vllm.
func host() (shim string, python Python, err error) {
	fake, err1 := filepath.Abs("../csrc/testdata/fake")
	err2 := os.Setenv("PYTHONPATH", fake)
	shim, err3 := FindShim("")
	python, err4 := FindPython("")
	return shim, python, errors.Join(err1, err2, err3, err4)
}

// needHost skips a test without shim or Python, and fails it where they are
// required.
func needHost(t testing.TB) (shim string, python Python) {
	t.Helper()
	shim, python, err := host()
	switch {
	case err == nil:
	case os.Getenv("STEPBENCH_REQUIRE_SHIM") == "1":
		t.Fatal(err)
	default:
		t.Skipf("%v (STEPBENCH_REQUIRE_SHIM=1 makes this a failure)", err)
	}
	return shim, python
}

func startOptions(python Python) StartOptions {
	return StartOptions{Python: python.Executable, ModulePath: "../csrc/adapter", Module: "stepbench_adapter"}
}

// Limits of the one engine of this test process.
const (
	engineTokens = 2048
	engineSeqs   = 256
	engineConfig = `{"model": {"name": "fake", "path": "/models/fake"}, "audit": true,
		"max_num_batched_tokens": 2048, "max_num_seqs": 256, "max_model_len": 1000000000}`
)

// fixture is the open engine, called from any goroutine.
type fixture struct{ *Library }

var opened struct {
	sync.Once
	lib  *Library
	info []byte
	err  error
}

// open returns the engine without requests, and empties it after the test.
func open(t testing.TB) fixture {
	t.Helper()
	shim, python := needHost(t)
	opened.Do(func() {
		onMain(func() {
			if opened.lib, opened.err = Load(shim); opened.err != nil {
				return
			}
			if opened.err = opened.lib.CheckPython(python); opened.err != nil {
				return
			}
			if opened.err = opened.lib.Start(startOptions(python)); opened.err == nil {
				opened.info, opened.err = opened.lib.Open([]byte(engineConfig))
			}
		})
	})
	if opened.err != nil {
		t.Fatal(opened.err)
	}
	f := fixture{opened.lib}
	t.Cleanup(func() {
		if _, err := f.call("abort", "[1, 2, 3, 4, 5, 6, 7, 8, 9]"); err != nil {
			t.Errorf("abort: %v", err)
		}
	})
	return f
}

func (f fixture) step(tokenLimit, seqLimit int64) (v View, err error) {
	onMain(func() { err = f.Step(tokenLimit, seqLimit, &v) })
	return v, err
}

func (f fixture) submit(b Batch) (n int, err error) {
	onMain(func() { n, err = f.Submit(b) })
	return n, err
}

func (f fixture) call(method, args string) (string, error) {
	var reply []byte
	var err error
	onMain(func() { reply, err = f.Call(method, []byte(args)) })
	return string(reply), err
}

// request is one entry of a batch.
type request struct {
	id     int64
	tokens []int32
	params int32
}

// pack lays requests out; params is the array that they index.
func pack(params string, requests ...request) Batch {
	b := Batch{Offsets: []int64{0}, ParamsJSON: []byte(params)}
	for _, r := range requests {
		b.IDs = append(b.IDs, r.id)
		b.Tokens = append(b.Tokens, r.tokens...)
		b.Offsets = append(b.Offsets, int64(len(b.Tokens)))
		b.Params = append(b.Params, r.params)
		b.Arrivals = append(b.Arrivals, 1000.5+float64(r.id))
	}
	return b
}

// mustSubmit submits requests that the engine takes.
func (f fixture) mustSubmit(t testing.TB, params string, requests ...request) {
	t.Helper()
	if n, err := f.submit(pack(params, requests...)); err != nil || n != len(requests) {
		t.Fatalf("submit: %d taken, %v", n, err)
	}
}

// equal fails t unless got is want; no elements are as good as nil.
func equal(t testing.TB, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
