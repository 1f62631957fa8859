package score

import (
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"stepbench/bench/batch"
)

// finishOption is Choice.Finish of an option that was scored, not generated.
const finishOption = "option"

// choice tells whether the likeliest option is the right one: acc of
// lm-evaluation-harness (Gao et al.; multiple_choice in lm_eval/api/task.py).
func choice(row *batch.Row, res *batch.Result) (float64, error) {
	return likeliest(row, res, func(string) float64 { return 1 })
}

// choiceNorm is choice by log-likelihood per character of the option, as
// acc_norm there: long options would lose by their length alone.
func choiceNorm(row *batch.Row, res *batch.Result) (float64, error) {
	return likeliest(row, res, func(option string) float64 { return float64(utf8.RuneCountInString(option)) })
}

// likeliest is 1 if the option with the largest LogLikelihood over size is the
// right one, else 0; of equal ones the first counts, as NumPy's argmax has it.
func likeliest(row *batch.Row, res *batch.Result, size func(option string) float64) (float64, error) {
	switch {
	case len(row.Options) < 2:
		return 0, errors.New("the row has fewer than two options")
	case row.Answer < 0:
		return 0, errors.New("the row has no answer")
	case row.Answer >= len(row.Options):
		return 0, fmt.Errorf("the row's answer is option %d of %d, counted from 0", row.Answer, len(row.Options))
	}
	for i, o := range row.Options {
		if size(o) == 0 {
			return 0, fmt.Errorf("the row's option %d, counted from 0, is empty", i)
		}
	}
	if res == nil {
		return 0, nil
	}
	if len(res.Choices) != len(row.Options) {
		return 0, errNoValue
	}
	best, at := math.Inf(-1), -1
	for i := range res.Choices {
		c := &res.Choices[i]
		if c.Finish != finishOption || math.IsNaN(c.LogLikelihood) {
			return 0, errNoValue
		}
		if v := c.LogLikelihood / size(row.Options[i]); v > best || at < 0 {
			best, at = v, i
		}
	}
	if at == row.Answer {
		return 1, nil
	}
	return 0, nil
}

// perplexity is exp of minus the mean logprob of the prompt's tokens from the
// second on.
func perplexity(_ *batch.Row, res *batch.Result) (float64, error) {
	if res == nil {
		return 0, nil
	}
	if len(res.PromptLogprobs) == 0 {
		return 0, errNoValue
	}
	sum := 0.0
	for i := range res.PromptLogprobs {
		sum += res.PromptLogprobs[i].Logprob
	}
	return math.Exp(-sum / float64(len(res.PromptLogprobs))), nil
}

// surprise gives back a row's sum of -logprob and its tokens from its
// perplexity, which is all that an output without prompt logprobs keeps. A row's
// first token has no logprob.
func surprise(perplexity float64, res *batch.Result) (sum, tokens float64) {
	tokens = float64(len(res.PromptLogprobs))
	if tokens == 0 {
		tokens = float64(res.PromptTokens - 1)
	}
	if tokens <= 0 || !(perplexity > 0) {
		return 0, 0
	}
	return tokens * math.Log(perplexity), tokens
}
