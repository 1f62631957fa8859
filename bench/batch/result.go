package batch

// Result is everything kept of one row. Failure is set or Choices are, never
// both.
type Result struct {
	Index    int64  `json:"index"`
	Place    Place  `json:"place"`
	ID       string `json:"id"`
	Endpoint string `json:"endpoint,omitempty"`
	Group    string `json:"group,omitempty"`

	PromptTokens int32    `json:"prompt_tokens"`
	CachedTokens int32    `json:"cached_tokens,omitempty"` // served from the prefix cache
	Choices      []Choice `json:"choices,omitempty"`
	// PromptLogprobs are those of the prompt's tokens from the second on, if asked for.
	PromptLogprobs []TokenLogprob `json:"prompt_logprobs,omitempty"`
	// Scores by metric, such as exact or perplexity.
	Scores  map[string]float64 `json:"scores,omitempty"`
	Failure *Failure           `json:"failure,omitempty"`
}

// Choice is one completion, or one option of a multiple choice. Times are
// seconds of vLLM's RequestStateStats.
type Choice struct {
	Text         string         `json:"text"`
	Tokens       []int32        `json:"tokens,omitempty"`
	OutputTokens int32          `json:"output_tokens"`
	Finish       string         `json:"finish"` // stop, length; option for one of a multiple choice
	Logprobs     []TokenLogprob `json:"logprobs,omitempty"`
	// LogLikelihood of an option: the sum of its tokens' logprobs, natural log.
	LogLikelihood float64 `json:"log_likelihood,omitempty"`

	QueueS   float64 `json:"queue_s"`   // queued until first scheduled
	PrefillS float64 `json:"prefill_s"` // until the first token
	DecodeS  float64 `json:"decode_s"`  // until the last token
	E2ES     float64 `json:"e2e_s"`     // the three together
}

// TokenLogprob is a token at its place and, if asked for, the likeliest there.
type TokenLogprob struct {
	Token   int32          `json:"token"`
	Text    string         `json:"text,omitempty"`
	Logprob float64        `json:"logprob"` // natural log
	Top     []TokenLogprob `json:"top,omitempty"`
}

// Failure says why a row has no completion.
type Failure struct {
	// Code is invalid_row, too_long, refused, engine or quarantined.
	Code    string `json:"code"`
	Message string `json:"message"`
}
