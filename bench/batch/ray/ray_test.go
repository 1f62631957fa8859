package ray

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// script stands for a python that runs the driver.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "python")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRun(t *testing.T) {
	tests := []struct {
		name, python string
		shards       int
		exit         int
		says         string
	}{
		{"done", `read job; echo '{"shards":3}'`, 3, 0, ""},
		{"refused", `read job; echo '{"exit":69,"error":"no cluster"}'`, 0, 69, "Ray: no cluster"},
		{"died", `read job; exit 3`, 0, 0, "the Ray driver died: exit status 3"},
		{"nonsense", `read job; echo nonsense`, 0, 0, `said "nonsense"`},
		{"sees the token", `read job; token=${job##*\"token\":\"}; test -e "${token%%\"*}" && echo '{"shards":1}'`, 1, 0, ""},
		{"standard input stays open", `read job; timeout 0.2 cat; test $? = 124 && echo '{"shards":1}'`, 1, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out")
			var log strings.Builder
			shards, err := Run(t.Context(), script(t, tt.python), Job{Out: out}, &log)
			var failed *Error
			exit := 0
			if errors.As(err, &failed) {
				exit = failed.Exit
			}
			if shards != tt.shards || exit != tt.exit || (err != nil) != (tt.says != "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%d shards, exit %d, %v", shards, exit, err)
			}
			if left, err := os.ReadDir(out); err != nil || len(left) > 0 {
				t.Errorf("left %v, %v", left, err)
			}
		})
	}
}

func TestRunInterrupted(t *testing.T) {
	cause := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(cause) })
	if _, err := Run(ctx, script(t, "exec sleep 60"), Job{Out: t.TempDir()}, &strings.Builder{}); !errors.Is(err, cause) {
		t.Errorf("error %v", err)
	}
}

// How many shards a cluster gets, and what each takes of it.
func TestDivide(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3:", err)
	}
	type node map[string]float64
	cpu, gpu := node{"CPU": 16}, node{"CPU": 64, "GPU": 8}
	two, half := 2.0, 0.5
	tests := []struct {
		name  string
		job   Job
		nodes []node
		want  string // shards, CPUs, GPUs
	}{
		{"nodes without GPUs", Job{}, []node{cpu, {"CPU": 8}}, "[2, 8, 0]"},
		{"a head that computes nothing", Job{}, []node{{}, cpu}, "[1, 16, 0]"},
		{"GPUs", Job{}, []node{cpu, gpu, gpu}, "[16, 8, 1]"},
		{"two GPUs each", Job{GPUs: &two}, []node{gpu, {"CPU": 4, "GPU": 1}}, "[4, 16, 2]"},
		{"half a GPU each", Job{GPUs: &half}, []node{{"CPU": 4, "GPU": 1}}, "[2, 2, 0.5]"},
		{"a GPU with little of a CPU", Job{}, []node{{"CPU": 2, "GPU": 4}}, "[4, 1, 1]"},
		{"as told", Job{Shards: 7, CPUs: &two}, []node{cpu}, "[7, 2, 0]"},
		{"none is large enough", Job{CPUs: &two}, []node{{"CPU": 1}}, "no node of the cluster has 2 CPUs and 0 GPUs"},
	}
	const call = `
import json, sys
driver = {"__name__": "driver"}
exec(sys.argv[1], driver)
try:
    print(json.dumps(driver["divide"](json.loads(sys.argv[2]), json.loads(sys.argv[3]))))
except driver["Refusal"] as e:
    print(e)
`
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			job, err1 := json.Marshal(tt.job)
			nodes, err2 := json.Marshal(tt.nodes)
			text, err3 := exec.Command(python, "-c", call, driver, string(job), string(nodes)).CombinedOutput()
			if err := errors.Join(err1, err2, err3); err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			if diff := cmp.Diff(tt.want, strings.TrimSpace(string(text))); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
