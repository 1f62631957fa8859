package input

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"

	"stepbench/bench/batch"
)

// Fields of a body that change nothing here.
var ignored = []string{"model", "user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key",
	"stream_options", "parallel_tool_calls", "messages", "prompt", "max_completion_tokens"}

// plainValues are what fields that are not supported may say: vLLM's defaults.
var plainValues = map[string][]string{
	"response_format":               {`{"type":"text"}`, `{"type": "text"}`},
	"tool_choice":                   {`"none"`, `"auto"`},
	"best_of":                       {"1"},
	"length_penalty":                {"1", "1.0"},
	"skip_special_tokens":           {"true"},
	"spaces_between_special_tokens": {"true"},
	"add_generation_prompt":         {"true"},
	"priority":                      {"0"},
	"modalities":                    {`["text"]`},
}

// maxN is how many completions vLLM gives a request at most
// (VLLM_MAX_N_SEQUENCES).
const maxN = 16_384

// bodyFields set what a body says. Bounds are those of vLLM's SamplingParams.
var bodyFields = map[string]func(row *batch.Row, v value) error{
	"max_tokens":  func(row *batch.Row, v value) error { return v.whole(&row.Sampling.MaxTokens, 1, math.MaxInt32) },
	"temperature": func(row *batch.Row, v value) error { return v.number(&row.Sampling.Temperature, 0, 2) },
	"top_p":       func(row *batch.Row, v value) error { return v.positive(&row.Sampling.TopP, 1) },
	"top_k": func(row *batch.Row, v value) error {
		if string(v.raw) == "-1" { // vLLM's older word for no limit
			row.Sampling.TopK = 0
			return nil
		}
		return v.whole(&row.Sampling.TopK, 0, math.MaxInt32)
	},
	"n":          func(row *batch.Row, v value) error { return v.whole(&row.N, 1, maxN) },
	"seed":       func(row *batch.Row, v value) error { return v.seed(&row.Sampling.Seed) },
	"stop":       func(row *batch.Row, v value) error { return v.texts(&row.Sampling.Stop) },
	"ignore_eos": func(row *batch.Row, v value) error { return v.truth(&row.Sampling.IgnoreEOS) },

	"frequency_penalty": func(row *batch.Row, v value) error { return v.number(&row.Sampling.FrequencyPenalty, -2, 2) },
	"presence_penalty":  func(row *batch.Row, v value) error { return v.number(&row.Sampling.PresencePenalty, -2, 2) },
	"repetition_penalty": func(row *batch.Row, v value) error {
		return v.positive(&row.Sampling.RepetitionPenalty, math.MaxFloat32)
	},
	"min_p":           func(row *batch.Row, v value) error { return v.number(&row.Sampling.MinP, 0, 1) },
	"min_tokens":      func(row *batch.Row, v value) error { return v.whole(&row.Sampling.MinTokens, 0, math.MaxInt32) },
	"stop_token_ids":  func(row *batch.Row, v value) error { return v.ids(&row.Sampling.StopTokenIDs) },
	"logprobs":        logprobs,
	"top_logprobs":    topLogprobs,
	"prompt_logprobs": func(row *batch.Row, v value) error { return v.places(&row.Sampling.PromptLogprobs) },
}

// logprobs is a number in a completion and says only whether in a chat, where
// top_logprobs is the number.
func logprobs(row *batch.Row, v value) error {
	if row.Endpoint == completionEndpoint {
		return v.places(&row.Sampling.Logprobs)
	}
	var asked bool
	if err := v.truth(&asked); err != nil {
		return err
	}
	row.Sampling.Logprobs = nil
	if asked {
		row.Sampling.Logprobs = new(int)
	}
	return nil
}

// topLogprobs comes after logprobs: fields are set in order of their names.
func topLogprobs(row *batch.Row, v value) error {
	var most *int
	if err := v.places(&most); err != nil {
		return err
	}
	switch {
	case row.Endpoint == completionEndpoint:
		return v.wrong("is not a field of %s, where logprobs is the number", row.Endpoint)
	case row.Sampling.Logprobs == nil && *most > 0:
		return v.wrong("logprobs must be true too")
	case row.Sampling.Logprobs != nil:
		row.Sampling.Logprobs = most
	}
	return nil
}

// applyBody puts what b says over row's defaults.
func applyBody(b object, row *batch.Row) error {
	for _, name := range slices.Sorted(maps.Keys(b)) {
		v := value{field: "body." + name, raw: b[name]}
		if isNull(v.raw) || slices.Contains(ignored, name) {
			continue
		}
		if set := bodyFields[name]; set != nil {
			if err := set(row, v); err != nil {
				return err
			}
			continue
		}
		if !neutral(v.raw) && !slices.Contains(plainValues[name], string(v.raw)) {
			return v.unsupported(name)
		}
	}
	// OpenAI's newer name of the same wins, as in vLLM.
	if raw := b["max_completion_tokens"]; !isNull(raw) {
		v := value{"body.max_completion_tokens", raw}
		if err := v.whole(&row.Sampling.MaxTokens, 1, math.MaxInt32); err != nil {
			return err
		}
	}
	if s := row.Sampling; s.MaxTokens > 0 && s.MinTokens > s.MaxTokens {
		return atField("body.min_tokens", "%d is more than the %d tokens of max_tokens", s.MinTokens, s.MaxTokens)
	}
	return nil
}

// value is a field of a body.
type value struct {
	field string
	raw   json.RawMessage
}

func (v value) wrong(format string, args ...any) error { return atField(v.field, format, args...) }

func (v value) unsupported(name string) error {
	switch name {
	case "stream":
		return v.wrong("a batch is not streamed: leave it out")
	case "tools", "functions":
		return v.wrong("tools are not supported: leave them out")
	}
	return v.wrong("is not supported: leave it out")
}

func (v value) number(to *float64, least, most float64) error {
	var n float64
	if json.Unmarshal(v.raw, &n) != nil {
		return v.wrong("%s is not a number", shown(v.raw))
	}
	if n < least || n > most {
		return v.wrong("%s is not from %g to %g", v.raw, least, most)
	}
	*to = n
	return nil
}

// positive is a number above 0.
func (v value) positive(to *float64, most float64) error {
	var n float64
	if err := v.number(&n, 0, most); err != nil {
		return err
	}
	if n == 0 {
		return v.wrong("%s is not above 0", v.raw)
	}
	*to = n
	return nil
}

// places is how many tokens are listed at each place.
func (v value) places(to **int) error {
	var n int
	if err := v.whole(&n, 0, math.MaxInt16); err != nil {
		return err
	}
	*to = &n
	return nil
}

func (v value) whole(to *int, least, most int) error {
	var n float64
	if json.Unmarshal(v.raw, &n) != nil || n != math.Trunc(n) {
		return v.wrong("%s is not a whole number", shown(v.raw))
	}
	switch {
	case n < float64(least):
		return v.wrong("%s: at least %d is needed", v.raw, least)
	case n > float64(most):
		return v.wrong("%s: the most is %d", v.raw, most)
	}
	*to = int(n)
	return nil
}

func (v value) seed(to **int64) error {
	n, err := strconv.ParseInt(string(v.raw), 10, 64)
	if err != nil {
		return v.wrong("%s is not a whole number of 64 bits", shown(v.raw))
	}
	*to = &n
	return nil
}

func (v value) truth(to *bool) error {
	if json.Unmarshal(v.raw, to) != nil {
		return v.wrong("%s is neither true nor false", shown(v.raw))
	}
	return nil
}

// ids reads a list of token ids, which may be empty.
func (v value) ids(to *[]int32) (err error) {
	if string(v.raw) == "[]" {
		*to = nil
		return nil
	}
	*to, err = tokensOf(v.field, v.raw)
	return err
}

// texts reads a text or a list of texts, none of them empty.
func (v value) texts(to *[]string) error {
	var list []string
	if json.Unmarshal(v.raw, &list) != nil {
		var one string
		if json.Unmarshal(v.raw, &one) != nil {
			return v.wrong("%s is neither a text nor a list of texts", shown(v.raw))
		}
		list = []string{one}
	}
	if slices.Contains(list, "") {
		return v.wrong("an empty text stops nothing")
	}
	*to = list
	return nil
}
