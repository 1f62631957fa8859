package preset

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
)

const (
	imStart = "<|im_start|>"
	imEnd   = "<|im_end|>"
)

// chatTemplate is plain ChatML.
const chatTemplate = "{% for message in messages %}" +
	"{{ '" + imStart + "' + message['role'] + '\\n' + message['content'] + '" + imEnd + "\\n' }}" +
	"{% endfor %}" +
	"{% if add_generation_prompt %}{{ '" + imStart + "assistant\\n' }}{% endif %}"

// tokenizerFile is tokenizer.json of Hugging Face's tokenizers library.
type tokenizerFile struct {
	Version       string       `json:"version"`
	Truncation    *struct{}    `json:"truncation"`
	Padding       *struct{}    `json:"padding"`
	AddedTokens   []addedToken `json:"added_tokens"`
	Normalizer    *struct{}    `json:"normalizer"`
	PreTokenizer  byteLevel    `json:"pre_tokenizer"`
	PostProcessor byteLevel    `json:"post_processor"`
	Decoder       byteLevel    `json:"decoder"`
	Model         bpeModel     `json:"model"`
}

type addedToken struct {
	ID         int    `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

type byteLevel struct {
	Type           string `json:"type"`
	AddPrefixSpace bool   `json:"add_prefix_space"`
	TrimOffsets    bool   `json:"trim_offsets"`
	UseRegex       bool   `json:"use_regex"`
}

type bpeModel struct {
	Type                    string         `json:"type"`
	Dropout                 *float64       `json:"dropout"`
	UnkToken                *string        `json:"unk_token"`
	ContinuingSubwordPrefix *string        `json:"continuing_subword_prefix"`
	EndOfWordSuffix         *string        `json:"end_of_word_suffix"`
	FuseUnk                 bool           `json:"fuse_unk"`
	ByteFallback            bool           `json:"byte_fallback"`
	IgnoreMerges            bool           `json:"ignore_merges"`
	Vocab                   map[string]int `json:"vocab"`
	Merges                  []string       `json:"merges"`
}

// tokenizerJSON is the preset's byte-level BPE. The special tokens have the
// ids of config.json; bytes and merges take the lowest ids left, so most ids
// of a real vocabulary stay without a token and decode to nothing. Encoding
// adds no special token.
func (p preset) tokenizerJSON() ([]byte, error) {
	ms := merges()
	names := symbols(ms)

	vocab := make(map[string]int, len(names)+len(p.special))
	id := 0
	for _, name := range names {
		for p.special[id] != "" {
			id++
		}
		vocab[name] = id
		id++
	}
	var added []addedToken
	for _, id := range slices.Sorted(maps.Keys(p.special)) {
		// The library takes a special token's id from the model's vocabulary
		// and only without one there from added_tokens, renumbered.
		vocab[p.special[id]] = id
		added = append(added, addedToken{ID: id, Content: p.special[id], Special: true})
	}
	lines := make([]string, len(ms))
	for i, m := range ms {
		lines[i] = names[m[0]] + " " + names[m[1]]
	}
	bytesOnly := byteLevel{Type: "ByteLevel", TrimOffsets: true, UseRegex: true}
	return encode(tokenizerFile{
		Version:       "1.0",
		AddedTokens:   added,
		PreTokenizer:  bytesOnly,
		PostProcessor: bytesOnly,
		Decoder:       bytesOnly,
		Model:         bpeModel{Type: "BPE", Vocab: vocab, Merges: lines},
	})
}

// tokenizerConfigJSON tells transformers to take tokenizer.json as it is: the
// class that a model type stands for would rebuild parts of it.
func (p preset) tokenizerConfigJSON(maxPositions int) ([]byte, error) {
	return encode(map[string]any{
		"tokenizer_class":              "PreTrainedTokenizerFast",
		"bos_token":                    p.special[p.bos],
		"eos_token":                    p.special[p.eos],
		"pad_token":                    p.special[p.eos],
		"model_max_length":             maxPositions,
		"clean_up_tokenization_spaces": false,
		"chat_template":                chatTemplate,
	})
}

// encode writes indented JSON with keys in order and <, >, & as they are.
func encode(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}
