package output

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"stepbench/bench/batch"
)

// openAILine is a line of OpenAI's batch output file. Identifiers are made of
// the row's number, so that a row has the same ones on every start. A failure
// is in body.error with its status, as OpenAI writes it, and in error, where
// readers of vllm run-batch look.
type openAILine struct {
	ID       string          `json:"id"`
	CustomID string          `json:"custom_id"`
	Response *openAIResponse `json:"response"`
	Error    *openAIError    `json:"error"`
	// Rest is what OpenAI's shape has no place for, with the texts left out;
	// readers of that shape pass over it.
	Rest *batch.Result `json:"stepbench"`
}

type openAIResponse struct {
	StatusCode int        `json:"status_code"`
	RequestID  string     `json:"request_id"`
	Body       openAIBody `json:"body"`
}

// openAIBody is a completion, or only an error.
type openAIBody struct {
	ID      string         `json:"id,omitempty"`
	Object  string         `json:"object,omitempty"`
	Created int64          `json:"created,omitempty"`
	Model   string         `json:"model,omitempty"`
	Choices []openAIChoice `json:"choices,omitzero"`
	Usage   *openAIUsage   `json:"usage,omitempty"`
	Error   *openAIError   `json:"error,omitempty"`
}

type openAIChoice struct {
	Index    int            `json:"index"`
	Message  *openAIMessage `json:"message,omitempty"` // of a chat
	Text     *string        `json:"text,omitempty"`    // of a completion
	Logprobs any            `json:"logprobs"`          // *chatLogprobs, *completionLogprobs or null
	Finish   string         `json:"finish_reason"`
}

type openAIMessage struct {
	Role    string  `json:"role"`
	Content string  `json:"content"`
	Refusal *string `json:"refusal"`
}

type openAIUsage struct {
	PromptTokens     int32         `json:"prompt_tokens"`
	CompletionTokens int32         `json:"completion_tokens"`
	TotalTokens      int32         `json:"total_tokens"`
	PromptDetails    promptDetails `json:"prompt_tokens_details"`
}

type promptDetails struct {
	CachedTokens int32 `json:"cached_tokens"`
}

type openAIError struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    string  `json:"code"`
}

// newOpenAILine writes r. created is in seconds since 1970.
func newOpenAILine(r *batch.Result, model string, created int64) *openAILine {
	rest := *r
	rest.Choices = make([]batch.Choice, len(r.Choices))
	for i, c := range r.Choices {
		c.Text = ""
		rest.Choices[i] = c
	}
	line := &openAILine{
		ID:       fmt.Sprintf("batch_req_%d", r.Index),
		CustomID: r.ID,
		Response: &openAIResponse{StatusCode: 200, RequestID: fmt.Sprintf("req_%d", r.Index)},
		Rest:     &rest,
	}
	if r.Failure != nil {
		line.fail(r.Failure)
		return line
	}
	body := &line.Response.Body
	chat := strings.HasSuffix(r.Endpoint, "/chat/completions")
	body.ID, body.Object = fmt.Sprintf("cmpl-%d", r.Index), "text_completion"
	if chat {
		body.ID, body.Object = fmt.Sprintf("chatcmpl-%d", r.Index), "chat.completion"
	}
	body.Created, body.Model = created, model
	body.Usage = &openAIUsage{PromptTokens: r.PromptTokens, PromptDetails: promptDetails{r.CachedTokens}}
	body.Choices = []openAIChoice{} // there, if empty
	for i := range r.Choices {
		body.Choices = append(body.Choices, newOpenAIChoice(i, &r.Choices[i], chat))
		body.Usage.CompletionTokens += r.Choices[i].OutputTokens
	}
	body.Usage.TotalTokens = body.Usage.PromptTokens + body.Usage.CompletionTokens
	return line
}

func (l *openAILine) fail(f *batch.Failure) {
	l.Response.StatusCode = 400
	l.Error = &openAIError{Message: f.Message, Type: "invalid_request_error", Code: f.Code}
	if f.Code == "engine" || f.Code == "quarantined" {
		l.Response.StatusCode, l.Error.Type = 500, "server_error"
	}
	l.Response.Body.Error = l.Error
}

func newOpenAIChoice(index int, c *batch.Choice, chat bool) openAIChoice {
	out := openAIChoice{Index: index, Finish: c.Finish}
	if chat {
		out.Message = &openAIMessage{Role: "assistant", Content: c.Text}
	} else {
		out.Text = &c.Text
	}
	switch {
	case len(c.Logprobs) == 0:
	case chat:
		out.Logprobs = newChatLogprobs(c.Logprobs)
	default:
		out.Logprobs = newCompletionLogprobs(c.Logprobs)
	}
	return out
}

// parseOpenAILine reads a line back.
func parseOpenAILine(text []byte) (*batch.Result, error) {
	var line openAILine
	if err := json.Unmarshal(text, &line); err != nil {
		return nil, fmt.Errorf("it is damaged: %w", err)
	}
	r := line.Rest
	if r == nil || line.Response == nil || len(line.Response.Body.Choices) != len(r.Choices) || r.Index < 0 {
		return nil, errors.New("it is not of a batch of this program, or damaged")
	}
	if len(r.Choices) == 0 {
		r.Choices = nil
	}
	for i, c := range line.Response.Body.Choices {
		switch {
		case c.Message != nil:
			r.Choices[i].Text = c.Message.Content
		case c.Text != nil:
			r.Choices[i].Text = *c.Text
		}
	}
	return r, nil
}
