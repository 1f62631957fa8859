//go:build integration

package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stepbench/bridge"
	"stepbench/engine"
)

// Greedy tokens through the shim are those of vllm.LLM.generate in plain Python
// on the same prompts, and make sense.
func TestGreedyMatchesPlainPython(t *testing.T) {
	e := real(t)
	want := plainPython(t)
	reqs := make([]engine.Request, len(want.Prompts))
	for i, p := range want.Prompts {
		reqs[i] = engine.Request{ID: int64(9000 + i), Prompt: p, Sampling: engine.Sampling{MaxTokens: 16}}
	}
	plan := engine.Plan{KeepTokens: true}
	for _, r := range reqs {
		plan.Arrivals = append(plan.Arrivals, engine.Arrival{Request: r})
	}
	got := make([][]int32, len(reqs))
	var err error
	on(func() {
		err = engine.NewLoop(e, nil).Run(plan, func(b engine.Batch) error {
			for _, r := range b.Requests {
				got[r.ID-9000] = r.Tokens
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.Outputs, got); diff != "" {
		t.Errorf("tokens differ (-python +stepbench)\n%s", diff)
	}
	if !strings.Contains(want.Texts[0], "Paris") {
		t.Errorf("the capital of France is %q", want.Texts[0])
	}
	t.Logf("%d prompts, first answer %q", len(got), want.Texts[0])
}

// answers are of vllm.LLM.
type answers struct {
	Prompts, Outputs [][]int32
	Texts, Finish    []string
}

type plainAnswers struct {
	answers
	Chats   []json.RawMessage
	Chat    answers
	Stop    []string
	Stopped answers
	Scored  struct{ Output, Prompt [][]map[int32]float64 }
}

var plainOnce = sync.OnceValues(runPlainPython)

// plainPython is what vLLM answers when it is run as its users do, in a process
// of its own.
func plainPython(t *testing.T) plainAnswers {
	t.Helper()
	reply, err := plainOnce()
	if err != nil {
		t.Fatal(err)
	}
	return reply
}

func runPlainPython() (reply plainAnswers, err error) {
	python, err := bridge.FindPython("")
	if err != nil {
		return reply, err
	}
	model, err := modelFolder()
	if err != nil {
		return reply, err
	}
	cmd := exec.Command(python.Executable, "testdata/generate.py", model)
	cmd.Env = append(os.Environ(), "VLLM_CPU_KVCACHE_SPACE=1")
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Run(); err != nil {
		return reply, fmt.Errorf("plain Python: %w\n%s", err, log.String())
	}
	if err := json.Unmarshal(out.Bytes(), &reply); err != nil {
		return reply, fmt.Errorf("plain Python printed %q: %w", out.String(), err)
	}
	return reply, nil
}
