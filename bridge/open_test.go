package bridge

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// childOpenErrors opens each of the configurations, none of which can be opened,
// and then one that can.
func childOpenErrors(lib *Library, python Python, arg string) {
	must(lib.Start(startOptions(python)))
	var configs [][]byte // base64 in JSON, which holds UTF-8 only
	must(json.Unmarshal([]byte(arg), &configs))
	var failures []PythonError
	for _, config := range configs {
		_, err := lib.Open(config)
		var failure *PythonError
		if !errors.As(err, &failure) {
			failure = &PythonError{Type: "none", Message: fmt.Sprint(err)}
		}
		failures = append(failures, *failure)
	}
	reply, err := lib.Open([]byte(engineConfig))
	must(err)
	var info struct{ Platform string }
	must(json.Unmarshal(reply, &info))
	text, err := json.Marshal(failures)
	must(err)
	fmt.Printf("%s\n%s\n", text, info.Platform)
}

func TestOpen_Errors(t *testing.T) {
	config := func(path string) string { return `{"model": {"name": "m", "path": "` + path + `"}}` }
	tests := []struct {
		name, config  string
		kind, message string
		file          string // where it was raised
	}{
		{
			name: "no JSON", config: "{",
			kind: "JSONDecodeError", message: "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
			file: "json/decoder.py",
		},
		{name: "no model", config: "{}", kind: "KeyError", message: "'model'", file: "stepbench_adapter/session.py"},
		{
			name: "unknown model", config: config("/models/unknown"),
			kind: "OSError", message: "/models/unknown is not a local folder and is not a model identifier",
			file: "fake/vllm/engine/arg_utils.py",
		},
		{
			name: "no memory", config: config("oom"),
			kind: "MemoryError", message: "cannot allocate the KV cache", file: "fake/vllm/engine/arg_utils.py",
		},
		{
			name: "unicode", config: config("Gewürz/模型/😀/unknown"),
			kind: "OSError", message: "Gewürz/模型/😀/unknown is not a local folder and is not a model identifier",
			file: "fake/vllm/engine/arg_utils.py",
		},
		{
			// JSON can hold half a surrogate pair, UTF-8 cannot.
			name: "lone surrogate", config: config(`a\ud800b/unknown`),
			kind: "OSError", message: `a\ud800b/unknown is not a local folder and is not a model identifier`,
			file: "fake/vllm/engine/arg_utils.py",
		},
		{
			name: "invalid UTF-8", config: config("\xff"),
			kind: "UnicodeDecodeError", message: "'utf-8' codec can't decode byte 0xff in position 33: invalid start byte",
		},
	}
	var configs [][]byte
	for _, tt := range tests {
		configs = append(configs, []byte(tt.config))
	}
	arg, err := json.Marshal(configs)
	if err != nil {
		t.Fatal(err)
	}
	stdout, stderr, exit := child(t, "open errors", string(arg))
	if exit != 0 {
		t.Fatalf("exit code %d\n%s%s", exit, stdout, stderr)
	}
	text, rest, _ := strings.Cut(stdout, "\n")
	equal(t, "engine opened at last", rest, "cpu\n")
	var got []PythonError
	if err := json.Unmarshal([]byte(text), &got); err != nil || len(got) != len(tests) {
		t.Fatalf("%v in %s", err, text)
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			equal(t, "type", got[i].Type, tt.kind)
			equal(t, "message", got[i].Message, tt.message)
			wantTraceback(t, &got[i], tt.file)
		})
	}
}

// wantTraceback fails t unless the traceback reads as Python prints it and
// names the file; without a file, there need not be a frame.
func wantTraceback(t *testing.T, e *PythonError, file string) {
	t.Helper()
	text := e.Traceback
	if file != "" && !strings.HasPrefix(text, "Traceback (most recent call last):\n") {
		t.Errorf("traceback begins with %.60q", text)
	}
	// The module path stands before the name of a class that is not built in.
	if !strings.HasSuffix(text, e.Type+": "+e.Message+"\n") {
		t.Errorf("traceback does not end with %q:\n%s", e.Error(), text)
	}
	if !strings.Contains(text, file+`", line `) && file != "" {
		t.Errorf("traceback does not name %s:\n%s", file, text)
	}
}

func TestOpenInfo(t *testing.T) {
	f := open(t)
	var got struct {
		Python   string `json:"python_version"`
		VLLM     string `json:"vllm_version"`
		Tokens   int    `json:"max_num_batched_tokens"`
		Seqs     int    `json:"max_num_seqs"`
		Counters []string
	}
	if err := json.Unmarshal(opened.info, &got); err != nil {
		t.Fatalf("%v in %s", err, opened.info)
	}
	if len(got.Counters) == 0 || len(got.Counters) > Counters {
		t.Errorf("%d counters in %d cells", len(got.Counters), Counters)
	}
	got.Counters = nil
	want := got
	want.Python, want.VLLM, want.Tokens, want.Seqs = f.BuildPython, "0.26.0-fake", engineTokens, engineSeqs
	equal(t, "info", got, want)
}

func TestOpenRefusesNUL(t *testing.T) {
	_, err := (&Library{}).Open([]byte("{}\x00"))
	wantError(t, err, `"{}\x00" contains a NUL byte`)
}
