//go:build integration

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"stepbench/engine"
)

// The engine lives on the main thread, as in a worker; tests run beside it.
func init() { runtime.LockOSThread() }

var mainThread = make(chan func())

func TestMain(m *testing.M) {
	if os.Getenv("STEPBENCH_TEST_ENV") == "" {
		restart()
	}
	code := make(chan int)
	go func() { code <- m.Run() }()
	for {
		select {
		case f := <-mainThread:
			f()
		case c := <-code:
			os.Exit(c)
		}
	}
}

// restart runs this binary again in a worker's environment, parts of which
// (LD_PRELOAD) only take effect at exec.
func restart() {
	env, err := engine.WorkerEnv(engine.WorkerOptions{Env: []string{"STEPBENCH_TEST_ENV=1"}})
	if err == nil {
		err = syscall.Exec(os.Args[0], os.Args, env)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// on runs f on the engine's thread.
func on(f func()) {
	done := make(chan struct{})
	mainThread <- func() { defer close(done); f() }
	<-done
}

// Limits of the shared engine: small, so that plans reach them.
const (
	maxTokens = 256 // a step
	maxSeqs   = 8
	modelLen  = 512
)

func modelFolder() (string, error) {
	model, err := filepath.Abs("../../models/smollm2-135m-instruct")
	if err == nil {
		_, err = os.Stat(model)
	}
	if err != nil {
		return "", fmt.Errorf("%w: run make model", err)
	}
	return model, nil
}

var shared = sync.OnceValues(func() (*engine.Local, error) {
	model, err := modelFolder()
	if err != nil {
		return nil, err
	}
	var local *engine.Local
	on(func() {
		start := time.Now()
		local, err = engine.OpenLocal(engine.Config{
			Model:       engine.Model{Name: "smollm2-135m-instruct", Path: model},
			MaxModelLen: modelLen, MaxNumSeqs: maxSeqs, MaxNumBatchedTokens: maxTokens,
			KVCacheBytes: 256 << 20, EnforceEager: true, Audit: true,
			// In bfloat16 a token's logits depend on what else is in its batch.
			DType: "float32",
		}, engine.Host{})
		fmt.Printf("engine opened in %.1f s\n", time.Since(start).Seconds())
	})
	return local, err
})

// real gives the engine that all tests share; opening one takes a while.
func real(t testing.TB) *engine.Local {
	t.Helper()
	local, err := shared()
	if err != nil {
		t.Fatalf("open engine: %v", err)
	}
	return local
}
