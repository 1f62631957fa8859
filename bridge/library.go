package bridge

import (
	"errors"
	"fmt"
	"os"

	"github.com/ebitengine/purego"
)

// Library is the loaded shim. A process loads one.
type Library struct {
	Path        string
	BuildPython string // version the shim was compiled against, "3.12.3"
	BuildPrefix string // sys.base_prefix of that Python

	abiCount    func() int32
	abiName     func(int32) string
	abiValue    func(int32) int64
	abiCheck    func(*int64, int32) int32
	buildPython func() string
	buildPrefix func() string
	lastError   func(*cError)
	nowNs       func() int64
	start       func(*cStartOptions) int32
	open        func(*byte, **byte) int32
	submit      func(*cBatch, *int64) int32
	step        uintptr // called by SyscallN, which need not allocate
	call        func(*byte, *byte, **byte) int32

	// Kept on the heap: C writes into them during a call.
	view     cView
	errView  cError
	text     *byte
	stepArgs [3]uintptr
}

// Load opens the shim and compares its layout with this program's, both ways.
// Nothing of Python runs yet. The symbols of libpython become global, because
// Python's extension modules expect to find them.
func Load(path string) (*Library, error) {
	// Dlopen("") succeeds and gives the program itself.
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("load shim: %w: run make build, or set STEPBENCH_SHIM", err)
	}
	handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return nil, fmt.Errorf("load shim %s: %w: run make build", path, err)
	}
	l := &Library{Path: path}
	if err := l.bind(handle); err != nil {
		return nil, fmt.Errorf("load shim %s: %w", path, err)
	}
	if err := l.checkABI(); err != nil {
		return nil, fmt.Errorf("load shim %s: %w", path, err)
	}
	l.BuildPython, l.BuildPrefix = l.buildPython(), l.buildPrefix()
	return l, nil
}

// bind finds every symbol before registering it: purego panics on a missing one.
func (l *Library) bind(handle uintptr) error {
	symbols := []struct {
		name string
		fn   any
	}{
		{"sb_abi_count", &l.abiCount}, {"sb_abi_name", &l.abiName}, {"sb_abi_value", &l.abiValue},
		{"sb_abi_check", &l.abiCheck}, {"sb_build_python", &l.buildPython},
		{"sb_build_prefix", &l.buildPrefix}, {"sb_last_error", &l.lastError},
		{"sb_now_ns", &l.nowNs}, {"sb_start", &l.start}, {"sb_open", &l.open},
		{"sb_submit", &l.submit}, {"sb_call", &l.call},
	}
	for _, s := range symbols {
		address, err := purego.Dlsym(handle, s.name)
		if err != nil {
			return fmt.Errorf("%w: symbol %s is missing: run make build", ErrABI, s.name)
		}
		purego.RegisterFunc(s.fn, address)
	}
	var err error
	if l.step, err = purego.Dlsym(handle, "sb_step"); err != nil {
		return fmt.Errorf("%w: symbol sb_step is missing: run make build", ErrABI)
	}
	return nil
}

// checkABI compares each side's table with the other's: the shim checks what
// this program believes, and this program what the shim reports.
func (l *Library) checkABI() error {
	mine := layout()
	at := l.abiCheck(&mine[0], int32(len(mine)))
	if n := int(l.abiCount()); at < 0 && n != len(mine) {
		at = int32(min(n, len(mine)))
	}
	for i := 0; at < 0 && i < len(mine); i++ {
		if l.abiValue(int32(i)) != mine[i] {
			at = int32(i)
		}
	}
	if at < 0 {
		return nil
	}
	name, got, want := l.abiName(at), fmt.Sprint(l.abiValue(at)), "nothing"
	if at >= l.abiCount() {
		name, got = fmt.Sprintf("layout word %d", at), "nothing"
	}
	if int(at) < len(mine) {
		want = fmt.Sprint(mine[at])
	}
	return fmt.Errorf("%w: %s is %s in the shim, %s in this program: run make build", ErrABI, name, got, want)
}

// NowNs is CLOCK_MONOTONIC as the shim reads it.
func (l *Library) NowNs() int64 { return l.nowNs() }

// StartOptions say which interpreter to become and which adapter to import.
type StartOptions struct {
	Python     string // the venv's python: decides sys.prefix and sys.executable
	ModulePath string // folder put first on sys.path
	Module     string
}

// Start starts the interpreter on this thread, for the life of the process.
// Errors: ErrInit when Python refuses to start or belongs to another build than
// the shim, *PythonError when the adapter cannot be imported.
func (l *Library) Start(o StartOptions) error {
	program, err1 := cString(o.Python)
	path, err2 := cString(o.ModulePath)
	module, err3 := cString(o.Module)
	if err := errors.Join(err1, err2, err3); err != nil {
		return fmt.Errorf("start python: %w", err)
	}
	return l.check(l.start(&cStartOptions{program, path, module}))
}

// Open opens the engine described by a JSON object and returns what the adapter
// says of it, a JSON object.
func (l *Library) Open(config []byte) ([]byte, error) {
	text, err := cString(string(config))
	if err != nil {
		return nil, err
	}
	if err := l.check(l.open(text, &l.text)); err != nil {
		return nil, err
	}
	return []byte(goString(l.text)), nil
}

// Call runs a control method of the adapter with a JSON value.
func (l *Library) Call(method string, args []byte) ([]byte, error) {
	m, err1 := cString(method)
	a, err2 := cString(string(args))
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	if err := l.check(l.call(m, a, &l.text)); err != nil {
		return nil, err
	}
	return []byte(goString(l.text)), nil
}
