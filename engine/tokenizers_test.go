package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stepbench/engine"
)

// tokenizers are processes on the fake transformers that must leave nothing behind.
func tokenizers(t *testing.T, edit func(*engine.TokenizerOptions)) *engine.Tokenizers {
	t.Helper()
	opt := engine.TokenizerOptions{Model: "/models/bytes", Env: onFakeVLLM(t).Env}
	if edit != nil {
		edit(&opt)
	}
	k, err := engine.OpenTokenizers(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	pids := k.PIDs()
	t.Cleanup(func() {
		_ = k.Close()
		for _, pid := range append(pids, k.PIDs()...) {
			assertGone(t, pid)
		}
	})
	return k
}

func ids(text string, more ...int32) []int32 {
	tokens := append([]int32{}, more...)
	for _, b := range []byte(text) {
		tokens = append(tokens, int32(b))
	}
	return tokens
}

func TestTokenizers(t *testing.T) {
	t.Parallel()
	k := tokenizers(t, nil)
	if !k.HasChatTemplate {
		t.Error("the tokenizer has no chat template")
	}
	tests := []struct {
		name string
		ask  func() (any, error)
		want any
	}{
		{"prompts", func() (any, error) { return k.Encode(t.Context(), []string{"ab", "", "ü"}) },
			[]engine.Encoded{{Tokens: ids("ab", 0)}, {Tokens: ids("", 0)}, {Tokens: ids("ü", 0)}}},
		{"text that goes on", func() (any, error) { return k.EncodePlain(t.Context(), []string{"ab", ""}) },
			[]engine.Encoded{{Tokens: ids("ab")}, {Tokens: ids("")}}},
		{"one is refused", func() (any, error) { return k.Encode(t.Context(), []string{"a", "refuse", "b"}) },
			[]engine.Encoded{{Tokens: ids("a", 0)}, {Err: "ValueError: this text is refused"}, {Tokens: ids("b", 0)}}},
		{"chat", func() (any, error) {
			return k.Chat(t.Context(), []json.RawMessage{
				[]byte(`[{"role":"user","content":"hi"}]`),
				[]byte(`[{"content":"hi"}]`),
				[]byte(`[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"é"}]}]`),
			})
		}, []engine.Encoded{
			{Tokens: ids("own template|user:hi|assistant:")},
			{Err: "ValueError: a conversation is a list of messages with a role"},
			{Tokens: ids("own template|system:s|user:é|assistant:")},
		}},
		{"outputs", func() (any, error) {
			return k.Decode(t.Context(), []engine.Generated{
				{Prompt: ids("x"), Tokens: ids(" cat")},
				{Tokens: ids(" cat")},
				{Tokens: append(ids("cat"), 999), Stopped: true},
				{Tokens: ids("a cat"), Stop: []string{"cat"}, Stopped: true},
				{Stopped: true},
			})
		}, []engine.Decoded{{Text: " cat"}, {Text: "cat"}, {Text: "cat"}, {Text: "a "}, {}}},
		{"single tokens", func() (any, error) { return k.TokenTexts(t.Context(), []int32{97, 999}) },
			[]engine.Decoded{{Text: "a"}, {Text: "<999>"}}},
		{"nothing", func() (any, error) { return k.Encode(t.Context(), nil) }, []engine.Encoded(nil)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.ask()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestTokenizersChatTemplate(t *testing.T) {
	t.Parallel()
	ask := func(k *engine.Tokenizers) engine.Encoded {
		got, err := k.Chat(t.Context(), []json.RawMessage{[]byte(`[{"role":"user","content":"hi"}]`)})
		if err != nil || len(got) != 1 {
			t.Fatal(got, err)
		}
		return got[0]
	}
	given := tokenizers(t, func(o *engine.TokenizerOptions) { o.Model, o.ChatTemplate = "/models/mute", "given" })
	if diff := cmp.Diff(engine.Encoded{Tokens: ids("given|user:hi|assistant:")}, ask(given)); diff != "" || !given.HasChatTemplate {
		t.Errorf("(-want +got)\n%s", diff)
	}
	none := tokenizers(t, func(o *engine.TokenizerOptions) { o.Model = "/models/mute" })
	want := engine.Encoded{Err: "ValueError: the model's tokenizer has no chat template: give one"}
	if diff := cmp.Diff(want, ask(none)); diff != "" || none.HasChatTemplate {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// Every caller gets the answer to its own question.
func TestTokenizersFromManyGoroutines(t *testing.T) {
	t.Parallel()
	k := tokenizers(t, func(o *engine.TokenizerOptions) { o.Processes = 3 })
	var all sync.WaitGroup
	for caller := range 12 {
		all.Add(1)
		go func() {
			defer all.Done()
			for call := range 20 {
				text := fmt.Sprintf("caller %d call %d %s", caller, call, strings.Repeat("x", 100*call))
				got, err := k.EncodePlain(t.Context(), []string{text, text + "!"})
				if err != nil || !cmp.Equal(got, []engine.Encoded{{Tokens: ids(text)}, {Tokens: ids(text + "!")}}) {
					t.Errorf("%s: %v, %v", text[:20], got, err)
					return
				}
			}
		}()
	}
	all.Wait()
}

func TestTokenizersCancel(t *testing.T) {
	t.Parallel()
	k := tokenizers(t, nil)
	why := errors.New("the user gave up")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		for len(k.Idle()) > 0 { // until the call has the process
		}
		cancel(why)
	}()
	if _, err := k.Encode(ctx, []string{"wait"}); err != why {
		t.Errorf("error %v, want the context's cause alone", err)
	}
	if _, err := k.Encode(ctx, []string{"a"}); err != why {
		t.Errorf("the only process is busy: error %v", err)
	}
	if err := k.Close(); err != nil { // it does not wait for the minute
		t.Error(err)
	}
	if _, err := k.Encode(t.Context(), []string{"a"}); err == nil || err.Error() != "the tokenizers are closed" {
		t.Errorf("after Close: %v", err)
	}
}

func TestTokenizersThatDie(t *testing.T) {
	t.Parallel()
	died := filepath.Join(t.TempDir(), "died")
	log := newLines()
	k := tokenizers(t, func(o *engine.TokenizerOptions) {
		o.Env = append(o.Env, "STEPBENCH_FAKE_DIED="+died)
		o.Log = log.add
	})
	for round, text := range []string{"die once", "die", "die once"} {
		got, err := k.EncodePlain(t.Context(), []string{"a", text})
		if text == "die" {
			w := workerError(t, err, "tokenising", "died: exit status 3")
			if diff := cmp.Diff([]string{"the last words"}, w.LogTail); diff != "" {
				t.Errorf("log tail (-want +got)\n%s", diff)
			}
		} else if err != nil || !cmp.Equal(got, []engine.Encoded{{Tokens: ids("a")}, {Tokens: ids(text)}}) {
			t.Errorf("round %d: %v, %v", round, got, err)
		}
	}
	if _, err := os.Stat(died); err != nil {
		t.Error("it did not die in the first round")
	}
	if !mentions(log.all(), "the last words") {
		t.Error("the log lacks the last words")
	}
	for _, pid := range k.PIDs() { // killed between two calls
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	if got, err := k.EncodePlain(t.Context(), []string{"a"}); err != nil || len(got) != 1 {
		t.Errorf("after a kill: %v, %v", got, err)
	}
}

func TestOpenTokenizers_Errors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		model   string
		trusted bool
		python  string
		want    string
	}{
		{"no tokenizer", "/models/unknown", false, "",
			"open the tokenizer of /models/unknown: OSError: /models/unknown is not a local folder and is not a model identifier"},
		{"the model's own code, asked for", "/models/bytes", true, "",
			"open the tokenizer of /models/bytes: RuntimeError: the code of strangers"},
		{"no python", "/models/bytes", false, "/nonexistent/python",
			"open the tokenizer of /models/bytes: python /nonexistent/python: no such file or directory: set STEPBENCH_PYTHON to a python executable"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			opt := engine.TokenizerOptions{Model: tt.model, TrustRemoteCode: tt.trusted, Env: onFakeVLLM(t).Env, Processes: 2, Host: engine.Host{Python: tt.python}}
			k, err := engine.OpenTokenizers(t.Context(), opt)
			if k != nil || err == nil || err.Error() != tt.want || !errors.Is(err, engine.ErrEnvironment) {
				t.Errorf("error %v\nwant  %s", err, tt.want)
			}
		})
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the user gave up")
	cancel(why)
	if _, err := engine.OpenTokenizers(ctx, engine.TokenizerOptions{Model: "/models/bytes", Env: onFakeVLLM(t).Env}); err != why {
		t.Errorf("error %v, want the context's cause", err)
	}
}
