package bridge

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// handler is the kernel's struct sigaction on amd64 and arm64.
type handler struct {
	function, flags, restorer uintptr
	mask                      uint64
}

// handlers reads the handler of every signal, as the kernel has it.
func handlers() (all [65]handler) {
	for s := 1; s < len(all); s++ {
		_, _, errno := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(s), 0,
			uintptr(unsafe.Pointer(&all[s])), unsafe.Sizeof(all[s].mask), 0, 0)
		if errno != 0 {
			fmt.Fprintf(os.Stderr, "rt_sigaction %d: %v\n", s, errno)
			os.Exit(4)
		}
	}
	return all
}

// childSignals opens an engine that takes SIGSEGV and SIGUSR1, and uses both.
func childSignals(lib *Library, python Python, _ string) {
	received := make(chan os.Signal, 1)
	signal.Notify(received, syscall.SIGUSR1)
	before := handlers()
	compare := func(when string) {
		for s, h := range handlers() {
			// libc restores with its own return stub, which changes nothing.
			const restorer = 0x04000000
			h.restorer, h.flags = before[s].restorer, h.flags&^restorer|before[s].flags&restorer
			if h != before[s] {
				fmt.Printf("%s: signal %d was %+v, is %+v\n", when, s, before[s], h)
			}
		}
	}
	must(lib.Start(startOptions(python)))
	compare("started")
	_, err := lib.Open([]byte(`{"model": {"name": "m", "path": "/models/unknown"}}`))
	fmt.Println("not opened:", err != nil)
	compare("not opened")
	_, err = lib.Open([]byte(`{"model": {"name": "m", "path": "/models/signals"}}`))
	must(err)
	compare("open")

	fmt.Println("fault:", fault())
	must(syscall.Kill(os.Getpid(), syscall.SIGUSR1))
	select {
	case s := <-received:
		fmt.Println("received:", s)
	case <-time.After(time.Minute):
		fmt.Println("SIGUSR1 was lost")
	}
}

// fault reads through a nil pointer, which Go turns from SIGSEGV into a panic.
func fault() (err error) {
	defer func() {
		if e, ok := recover().(runtime.Error); ok {
			err = e
		}
	}()
	var none *handler
	return fmt.Errorf("read %d through nil", none.flags)
}

func TestSignalsStayGos(t *testing.T) {
	wantChild(t, "signals", "", `not opened: true
fault: runtime error: invalid memory address or nil pointer dereference
received: user defined signal 1
`)
}

// childMisbehaviour steps a request whose token is arg.
func childMisbehaviour(lib *Library, python Python, arg string) {
	must(lib.Start(startOptions(python)))
	_, err := lib.Open([]byte(engineConfig))
	must(err)
	var token int32
	_, err = fmt.Sscan(arg, &token)
	must(err)
	_, err = lib.Submit(oneRequest(1, token))
	must(err)
	var view View
	err = lib.Step(0, 0, &view)
	var exception *PythonError
	fmt.Println(err, errors.As(err, &exception))
}

func TestSystemExitDoesNotExit(t *testing.T) {
	wantChild(t, "misbehaviour", "670", "SystemExit: 3 true\n")
}

// A crash in the engine ends the process at once, and says so.
func TestCrashEndsProcess(t *testing.T) {
	stdout, stderr, exit := child(t, "misbehaviour", "668")
	if exit != 2 || stdout != "" || !strings.Contains(stderr, "SIGSEGV: segmentation violation") {
		t.Errorf("exit code %d\n%s%s", exit, stdout, stderr)
	}
}
