package output

import (
	"unicode/utf8"

	"stepbench/bench/batch"
)

// chatLogprobs are those of a chat's choice.
type chatLogprobs struct {
	Content []chatLogprob `json:"content"`
}

type chatLogprob struct {
	Token   string        `json:"token"`
	Logprob float64       `json:"logprob"`
	Bytes   []int         `json:"bytes"` // []byte would be base64
	Top     []chatLogprob `json:"top_logprobs,omitzero"`
}

func newChatLogprobs(list []batch.TokenLogprob) *chatLogprobs {
	out := &chatLogprobs{Content: make([]chatLogprob, len(list))}
	for i := range list {
		t := newChatLogprob(&list[i])
		t.Top = make([]chatLogprob, len(list[i].Top)) // there, if empty
		for j := range t.Top {
			t.Top[j] = newChatLogprob(&list[i].Top[j])
		}
		out.Content[i] = t
	}
	return out
}

func newChatLogprob(t *batch.TokenLogprob) chatLogprob {
	out := chatLogprob{Token: t.Text, Logprob: t.Logprob, Bytes: make([]int, len(t.Text))}
	for i := range len(t.Text) {
		out.Bytes[i] = int(t.Text[i])
	}
	return out
}

// completionLogprobs are those of a completion's choice. Offsets count
// characters.
type completionLogprobs struct {
	TextOffset    []int                `json:"text_offset"`
	TokenLogprobs []float64            `json:"token_logprobs"`
	Tokens        []string             `json:"tokens"`
	TopLogprobs   []map[string]float64 `json:"top_logprobs"`
}

func newCompletionLogprobs(list []batch.TokenLogprob) *completionLogprobs {
	out := &completionLogprobs{}
	at := 0
	for i := range list {
		t := &list[i]
		top := map[string]float64{}
		for _, other := range t.Top {
			// Two tokens can have one text; the likelier comes first.
			if _, there := top[other.Text]; !there {
				top[other.Text] = other.Logprob
			}
		}
		top[t.Text] = t.Logprob // OpenAI always lists the token itself too
		out.TextOffset = append(out.TextOffset, at)
		out.TokenLogprobs = append(out.TokenLogprobs, t.Logprob)
		out.Tokens = append(out.Tokens, t.Text)
		out.TopLogprobs = append(out.TopLogprobs, top)
		at += utf8.RuneCountInString(t.Text)
	}
	return out
}
