package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
)

// TokenizerOptions say how to run tokenizer processes.
type TokenizerOptions struct {
	// Model is a folder or hub name with a tokenizer, as in Config.Model.Path.
	Model string
	// ChatTemplate is a Jinja template instead of the tokenizer's own.
	ChatTemplate string
	// TrustRemoteCode lets Python code run that is in the model's folder.
	TrustRemoteCode bool
	// Processes is their number; 0 means 1.
	Processes int
	Host      Host
	// Env is added to their environment, which is a worker's.
	Env []string
	// Log receives their output, line by line, from several goroutines.
	Log func(line string)
}

// Tokenizers turn text into token ids and back as vLLM does, beside the engine:
// in its process they would take time from the steps, and in one process Python
// would do one text at a time. Methods may be called from any goroutine; each
// call goes to one process, so calls of some dozens of items keep all busy.
//
// Items fail one by one: their Err says why. A process that dies is started
// again and its call repeated, once; then the call returns a [*WorkerError].
type Tokenizers struct {
	// HasChatTemplate says whether Chat can work.
	HasChatTemplate bool

	opt  TokenizerOptions
	idle chan *pythonScript // nil: to be started
	ctx  context.Context
	end  context.CancelFunc // kills the processes
	once sync.Once
}

// Encoded are the token ids of a prompt, or why there are none.
type Encoded struct {
	Tokens []int32 `json:"tokens"`
	Err    string  `json:"error"`
}

// Decoded is a text, or why there is none.
type Decoded struct {
	Text string `json:"text"`
	Err  string `json:"error"`
}

// Generated is what an engine returned of a request.
type Generated struct {
	// Prompt decides whether the text begins with a space; its end is enough.
	Prompt []int32
	Tokens []int32
	Stop   []string // the request's stop strings
	// Stopped says that the request ended by FinishStop: the text is then cut at
	// a stop string, or lacks the stop token.
	Stopped bool
}

// promptTail is as much of a prompt as can reach into the text after it.
const promptTail = 32

// OpenTokenizers starts the processes. A model without a tokenizer and a
// missing Python are [ErrEnvironment].
func OpenTokenizers(ctx context.Context, opt TokenizerOptions) (*Tokenizers, error) {
	n := max(opt.Processes, 1)
	t := &Tokenizers{opt: opt, idle: make(chan *pythonScript, n)}
	t.ctx, t.end = context.WithCancel(context.Background())
	defer context.AfterFunc(ctx, t.end)()
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Add(1)
		go func() {
			defer all.Done()
			s, has, err := t.start()
			if i == 0 {
				t.HasChatTemplate = has
			}
			errs[i] = err
			t.idle <- s
		}()
	}
	all.Wait()
	for _, err := range errs {
		if err != nil || ctx.Err() != nil {
			_ = t.Close()
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			return nil, openError{err}
		}
	}
	return t, nil
}

func (t *Tokenizers) start() (s *pythonScript, hasTemplate bool, err error) {
	env := append(hubEnv(t.opt.Model), t.opt.Env...)
	s, err = startScript(t.ctx, "tokenizer", WorkerOptions{Host: t.opt.Host, Env: env, Log: t.opt.Log})
	if err != nil {
		return nil, false, fmt.Errorf("open the tokenizer of %s: %w", t.opt.Model, err)
	}
	question := struct {
		Model, ChatTemplate string
		TrustRemoteCode     bool
	}{t.opt.Model, t.opt.ChatTemplate, t.opt.TrustRemoteCode}
	var facts struct {
		ChatTemplate bool   `json:"chat_template"`
		Error        string `json:"error"`
	}
	if err = s.exchange(question, &facts); err == nil && facts.Error != "" {
		err = errors.New(facts.Error)
	}
	if err != nil {
		s.kill()
		return nil, false, fmt.Errorf("open the tokenizer of %s: %w", t.opt.Model, err)
	}
	return s, facts.ChatTemplate, nil
}

// Encode gives the token ids of prompts, with the special tokens that the model
// expects, as LLM.generate does.
func (t *Tokenizers) Encode(ctx context.Context, texts []string) ([]Encoded, error) {
	return tokenizerCall[Encoded](ctx, t, "encode", texts)
}

// EncodePlain is Encode without special tokens, for text that goes on.
func (t *Tokenizers) EncodePlain(ctx context.Context, texts []string) ([]Encoded, error) {
	return tokenizerCall[Encoded](ctx, t, "encode_plain", texts)
}

// Chat gives the token ids of conversations that the model is to answer, as
// LLM.chat does. Each is a list of messages in OpenAI's form.
func (t *Tokenizers) Chat(ctx context.Context, messages []json.RawMessage) ([]Encoded, error) {
	return tokenizerCall[Encoded](ctx, t, "chat", messages)
}

// Decode gives the texts of outputs as vLLM does, without special tokens.
func (t *Tokenizers) Decode(ctx context.Context, outputs []Generated) ([]Decoded, error) {
	short := make([]Generated, len(outputs))
	for i, g := range outputs {
		g.Prompt = append([]int32{}, g.Prompt[max(0, len(g.Prompt)-promptTail):]...) // null is no list
		g.Tokens = append([]int32{}, g.Tokens...)
		short[i] = g
	}
	return tokenizerCall[Decoded](ctx, t, "decode", short)
}

// TokenTexts gives the text of each token on its own.
func (t *Tokenizers) TokenTexts(ctx context.Context, ids []int32) ([]Decoded, error) {
	return tokenizerCall[Decoded](ctx, t, "token_texts", ids)
}

func tokenizerCall[R, Q any](ctx context.Context, t *Tokenizers, op string, items []Q) ([]R, error) {
	if len(items) == 0 {
		return nil, nil
	}
	text, err := t.ask(ctx, struct {
		Op    string
		Items []Q
	}{op, items})
	if err != nil {
		return nil, err
	}
	var replies []R
	if err := json.Unmarshal(text, &replies); err != nil {
		return nil, fmt.Errorf("tokenizer: %s: %w", op, err)
	}
	if len(replies) != len(items) {
		return nil, fmt.Errorf("tokenizer: %s: %d answers for %d items", op, len(replies), len(items))
	}
	return replies, nil
}

// ask waits for a process and its answer. When ctx ends, the process finishes
// its line for nobody before the next call gets it.
func (t *Tokenizers) ask(ctx context.Context, question any) (json.RawMessage, error) {
	var s *pythonScript
	select {
	case s = <-t.idle:
	case <-t.ctx.Done():
		return nil, errTokenizersClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	type answer struct {
		text json.RawMessage
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		var a answer
		s, a.err = t.exchange(s, question, &a.text)
		t.idle <- s
		answered <- a
	}()
	select {
	case a := <-answered:
		return a.text, a.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

var errTokenizersClosed = errors.New("the tokenizers are closed")

// exchange asks s, or a new process where s is none or dies, once. It returns
// the process to go on with.
func (t *Tokenizers) exchange(s *pythonScript, question any, reply *json.RawMessage) (*pythonScript, error) {
	for again := s != nil; ; again = false {
		if s == nil {
			var err error
			if s, _, err = t.start(); err != nil {
				return nil, t.failure(err)
			}
		}
		err := s.exchange(question, reply)
		var died *WorkerError
		if !errors.As(err, &died) {
			return s, err
		}
		s.kill()
		s = nil
		if !again || t.ctx.Err() != nil {
			died.During = "tokenising"
			return nil, t.failure(err)
		}
	}
}

func (t *Tokenizers) failure(err error) error {
	if t.ctx.Err() != nil {
		return errTokenizersClosed
	}
	return err
}

// Close ends the processes. Calls in progress fail.
func (t *Tokenizers) Close() error {
	t.once.Do(func() {
		t.end()
		for range cap(t.idle) {
			if s := <-t.idle; s != nil {
				s.kill()
			}
		}
	})
	return nil
}
