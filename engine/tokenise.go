package engine

import "context"

// Tokenise asks the tokenizer of e's model for the token ids of texts, without
// special tokens. The engine must have been opened with one: see
// Config.SkipTokenizer.
func Tokenise(ctx context.Context, e Engine, texts []string) ([][]int32, error) {
	question := struct {
		Texts []string `json:"texts"`
	}{texts}
	var ids [][]int32
	if err := e.Call(ctx, "tokenise", question, &ids); err != nil {
		return nil, err
	}
	return ids, nil
}
