package engine_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stepbench/engine"
	"stepbench/engine/enginetest"
)

// served is a worker in this process.
type served struct {
	t        *testing.T
	fake     *enginetest.Fake
	in       *io.PipeWriter
	out      *io.PipeReader
	orphaned chan bool
	ended    chan error
}

func serve(t *testing.T, edit func(*engine.Worker)) *served {
	t.Helper()
	in, toWorker := io.Pipe()
	fromWorker, out := io.Pipe()
	s := &served{t: t, fake: newFake(time.Millisecond), in: toWorker, out: fromWorker,
		orphaned: make(chan bool, 1), ended: make(chan error, 1)}
	w := engine.Worker{
		Open:     func(engine.Config, engine.Host) (engine.Stepper, error) { return s.fake, nil },
		Orphaned: func() { s.orphaned <- true },
	}
	if edit != nil {
		edit(&w)
	}
	served := make(chan bool)
	go func() { s.ended <- w.Serve(in, out); close(served) }()
	t.Cleanup(func() { toWorker.Close(); fromWorker.Close(); <-served })
	return s
}

func (s *served) send(c engine.Command) {
	s.t.Helper()
	if err := engine.WriteFrame(s.in, c); err != nil {
		s.t.Fatal(err)
	}
}

// ask sends c and returns the answer and the batches before it.
func (s *served) ask(c engine.Command) (engine.Report, []engine.Batch) {
	s.t.Helper()
	s.send(c)
	var batches []engine.Batch
	for {
		var r engine.Report
		if err := engine.ReadFrame(s.out, &r); err != nil {
			s.t.Fatal(err)
		}
		if r.Done {
			return r, batches
		}
		batches = append(batches, *r.Batch)
	}
}

var (
	openCommand  = engine.Command{Open: &engine.OpenCommand{Config: []byte("{}")}}
	closeCommand = engine.Command{Close: true}
)

func TestServe(t *testing.T) {
	tests := []struct {
		name     string
		commands []engine.Command
		errors   []string // of each answer
	}{
		{"close at once", []engine.Command{closeCommand}, []string{""}},
		{"open and close", []engine.Command{openCommand, closeCommand}, []string{"", ""}},
		{"run before open", []engine.Command{{Run: &engine.Plan{}}, openCommand, {Run: &engine.Plan{}}},
			[]string{"no engine is open", "", ""}},
		{"call before open", []engine.Command{{Call: &engine.CallCommand{Method: "x", Args: []byte("1")}}}, []string{"no engine is open"}},
		{"open twice", []engine.Command{openCommand, openCommand}, []string{"", "an engine is open already: a worker holds one"}},
		{"config is no JSON", []engine.Command{{Open: &engine.OpenCommand{Config: []byte("{")}}},
			[]string{"read config: unexpected end of JSON input"}},
		{"empty command", []engine.Command{openCommand, {}}, []string{"", "empty command"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t, nil)
			var got []string
			for _, c := range tt.commands {
				r, _ := s.ask(c)
				text := ""
				if r.Err != nil {
					text = r.Err.Text
				}
				got = append(got, text)
			}
			if diff := cmp.Diff(tt.errors, got); diff != "" {
				t.Errorf("errors (-want +got)\n%s", diff)
			}
		})
	}
}

func TestServeOpenError(t *testing.T) {
	s := serve(t, func(w *engine.Worker) {
		w.Open = func(engine.Config, engine.Host) (engine.Stepper, error) { return nil, errors.New("no memory") }
	})
	if r, _ := s.ask(openCommand); r.Err == nil || r.Err.Text != "no memory" || r.Info != nil {
		t.Errorf("answer %+v", r)
	}
	if r, _ := s.ask(closeCommand); r.Err != nil {
		t.Errorf("close: %v", r.Err)
	}
	if err := <-s.ended; err != nil {
		t.Errorf("serve: %v", err)
	}
}

// A stop ends the plan in execution and no other.
func TestServeStop(t *testing.T) {
	s := serve(t, nil)
	started := make(chan bool, 1)
	s.fake.StepTime = func(engine.Step) time.Duration {
		select {
		case started <- true:
		default:
		}
		return time.Millisecond
	}
	s.ask(openCommand)
	s.send(engine.Command{Stop: true}) // nothing to stop
	plan := engine.Plan{Arrivals: every(0, 2, 3)}
	if r, b := s.ask(engine.Command{Run: &plan}); r.Err != nil || b[len(b)-1].Progress.Finished != 2 {
		t.Fatalf("run after a stop: %+v", r)
	}
	<-started
	endless := long()
	go func() {
		<-started
		s.send(engine.Command{Stop: true})
	}()
	r, b := s.ask(engine.Command{Run: &endless})
	if r.Err == nil || !errors.Is(r.Err, engine.ErrStopped) {
		t.Fatalf("answer %+v, want stopped", r)
	}
	if last := b[len(b)-1]; len(last.Requests) == 0 || last.Requests[len(last.Requests)-1].Finish != engine.FinishAbort {
		t.Errorf("no partial result in %+v", last.Requests)
	}
	if r, b := s.ask(engine.Command{Run: &plan}); r.Err != nil || b[len(b)-1].Progress.Finished != 2 {
		t.Errorf("the next plan: %+v", r)
	}
}

func TestServeWithoutParent(t *testing.T) {
	tests := []struct {
		name string
		end  func(*served)
	}{
		{"the pipe is closed", func(s *served) { s.in.Close() }},
		{"half a frame", func(s *served) {
			_, _ = s.in.Write(header(100))
			s.in.Close()
		}},
		{"nonsense", func(s *served) { _, _ = s.in.Write([]byte("nonsense")) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t, nil)
			s.ask(openCommand)
			tt.end(s)
			<-s.orphaned
			if err := <-s.ended; err == nil || err.Error() != "the parent closed its pipe" {
				t.Errorf("serve: %v", err)
			}
		})
	}
}

func TestServeToNobody(t *testing.T) {
	s := serve(t, nil)
	s.ask(openCommand)
	s.out.Close()
	s.send(closeCommand)
	if err := <-s.ended; !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("serve: %v, want that the report could not be written", err)
	}
	if !s.fake.Closed {
		t.Error("the engine was left open")
	}
}

// Go's collector rests during a plan and works again afterwards.
func TestCollectorRestsDuringAPlan(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(77))
	s := serve(t, nil)
	off := true
	s.fake.StepTime = func(engine.Step) time.Duration {
		if percent := debug.SetGCPercent(-1); percent != -1 {
			off = false
		}
		return time.Millisecond
	}
	s.ask(openCommand)
	limit := debug.SetMemoryLimit(-1)
	s.ask(engine.Command{Run: &engine.Plan{Arrivals: every(0, 1, 2)}})
	if !off {
		t.Error("the collector was on during a step")
	}
	if percent := debug.SetGCPercent(77); percent != 77 {
		t.Errorf("afterwards the collector is at %d, want 77", percent)
	}
	if got := debug.SetMemoryLimit(-1); got != limit {
		t.Errorf("afterwards the memory limit is %d, want %d", got, limit)
	}
}

// Opening, killing and closing workers leaves no file and no goroutine behind.
func TestNothingIsLeftBehind(t *testing.T) {
	counts := func() (files, goroutines int) {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries), runtime.NumGoroutine()
	}
	cycle := func() {
		for _, role := range []string{"stepper", "exits at once", "answers with text", "answers with half a frame", "ignores close", "exits instead of closing"} {
			opt := pythonless(t, role)
			opt.StepTimeout, opt.CloseTimeout = time.Second, 100*time.Millisecond
			if r, err := engine.OpenRemote(t.Context(), tiny("a"), opt); err == nil {
				_ = r.Run(t.Context(), engine.Plan{Arrivals: every(0, 1, 1)}, func(engine.Batch) error { return nil })
				_ = r.Close()
			}
		}
		opt := pythonless(t, "stepper")
		opt.Command = []string{"/nonexistent"}
		_, _ = engine.OpenRemote(t.Context(), tiny("a"), opt)
	}
	const cycles = 3
	cycle() // what the runtime keeps for itself
	files, goroutines := counts()
	for range cycles {
		cycle()
	}
	// Earlier tests may still be ending, so the counts may also fall; a leak of
	// one thing in a cycle is cycles of them.
	var filesAfter, goroutinesAfter int
	for range 250 {
		filesAfter, goroutinesAfter = counts()
		if filesAfter < files+cycles && goroutinesAfter < goroutines+cycles {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	var stacks bytes.Buffer
	buffer := make([]byte, 1<<20)
	stacks.Write(buffer[:runtime.Stack(buffer, true)])
	t.Errorf("%d files and %d goroutines before, %d and %d after %d cycles\n%s",
		files, goroutines, filesAfter, goroutinesAfter, cycles, strings.TrimSpace(stacks.String()))
}
