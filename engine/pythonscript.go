package engine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"syscall"

	"stepbench/bridge"
)

// pythonScript is a module of the adapter in the python executable: it answers each
// line of JSON by one line, and ends with its input, so with its parent.
type pythonScript struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	log *logTail
}

// startScript runs main of the module. The adapter is imported from its folder,
// as the shim does. The end of ctx kills the process.
func startScript(ctx context.Context, module string, opt WorkerOptions) (*pythonScript, error) {
	python, err := bridge.FindPython(opt.Host.Python)
	if err != nil {
		return nil, err
	}
	adapter, err := adapterPath()
	if err != nil {
		return nil, err
	}
	env, err := WorkerEnv(opt)
	if err != nil {
		return nil, err
	}
	run := "import sys; sys.path.insert(0, sys.argv.pop(1)); from " + adapterModule + "." + module + " import main; main()"
	s := &pythonScript{log: newLogTail(opt.Log)}
	s.cmd = exec.CommandContext(ctx, python.Executable, "-X", "utf8", "-s", "-u", "-c", run, adapter)
	s.cmd.Env = env
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.cmd.Cancel = func() error { return syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) }
	in, err1 := s.cmd.StdinPipe()
	out, err2 := s.cmd.StdoutPipe()
	stderr, err3 := s.cmd.StderrPipe()
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	s.in, s.out = in, bufio.NewReaderSize(out, 1<<20)
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go s.log.read(stderr)
	return s, nil
}

// exchange writes one line and reads one.
func (s *pythonScript) exchange(question, reply any) error {
	text, err := json.Marshal(question)
	if err != nil {
		return err
	}
	_, err = s.in.Write(append(text, '\n'))
	var line []byte
	if err == nil {
		line, err = s.out.ReadBytes('\n')
	}
	if err != nil {
		s.log.wait() // Wait closes its pipe, with the last words in it
		_ = s.cmd.Wait()
		return &WorkerError{During: "run", What: "died: " + s.cmd.ProcessState.String(), LogTail: s.log.last()}
	}
	return json.Unmarshal(line, reply)
}

// kill ends the process and its group.
func (s *pythonScript) kill() {
	_ = s.in.Close()
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
	_ = s.cmd.Wait()
}
