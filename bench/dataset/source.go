package dataset

import (
	"fmt"
	"os"
	"strings"
)

// Kind is where prompts come from: a built-in set, or a format of file.
type Kind string

const (
	KindRandom       Kind = "random"        // random token ids, lengths as asked
	KindRandomShort  Kind = "random-short"  // 128 in, 64 out
	KindRandomMedium Kind = "random-medium" // 512 in, 128 out
	KindC4           Kind = "c4"            // 768 in or more, 192 out: packed C4 documents
	KindShareGPT     Kind = "sharegpt"      // JSON: conversations between people and a model
	KindJSONL        Kind = "jsonl"         // own prompts or token ids, a JSON object a line
	KindParquet      Kind = "parquet"       // own prompts or token ids
	KindAzure        Kind = "azure"         // CSV: Azure LLM inference trace
	KindBurstGPT     Kind = "burstgpt"      // CSV: BurstGPT trace
	KindMooncake     Kind = "mooncake"      // JSONL: Mooncake trace
)

// builtIns need no file. C4 without one is a stand-in.
var builtIns = []Kind{KindRandom, KindRandomShort, KindRandomMedium, KindC4}

// fileKinds can be given as KIND:PATH.
var fileKinds = []Kind{KindC4, KindShareGPT, KindJSONL, KindParquet, KindAzure, KindBurstGPT, KindMooncake}

// Trace says that files of this kind hold arrival times and lengths, and no
// prompts.
func (k Kind) Trace() bool { return k == KindAzure || k == KindBurstGPT || k == KindMooncake }

// Source is a set of prompts, as the user named it.
type Source struct {
	Kind Kind `json:"kind"`
	// Path is a file or, with *, ? or [, a pattern of files read in order of
	// their names. Empty for built-in sets.
	Path string `json:"path,omitempty"`
}

// String is the text ParseSource reads.
func (s Source) String() string {
	if s.Path == "" {
		return string(s.Kind)
	}
	return string(s.Kind) + ":" + s.Path
}

// ParseSource reads the name of a built-in set, KIND:PATH, or the path of a
// file whose kind then is found out from its beginning. Empty text is random.
func ParseSource(text string) (Source, error) {
	if text == "" {
		return Source{Kind: KindRandom}, nil
	}
	for _, k := range builtIns {
		if text == string(k) {
			return Source{Kind: k}, nil
		}
	}
	if name, path, ok := strings.Cut(text, ":"); ok {
		for _, k := range fileKinds {
			if name == string(k) && path != "" {
				return Source{Kind: k, Path: path}, nil
			}
		}
	}
	if _, err := os.Stat(text); err == nil {
		kind, err := Detect(text)
		return Source{Kind: kind, Path: text}, err
	}
	return Source{}, fmt.Errorf("dataset %q is neither a file nor one of %s, nor KIND:PATH with a kind of %s",
		text, join(builtIns), join(fileKinds))
}

// Kinds lists the kinds that files can have.
func Kinds() []Kind { return append([]Kind(nil), fileKinds...) }

func join(kinds []Kind) string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = string(k)
	}
	return strings.Join(names, ", ")
}

// Length is the size of one request in tokens.
type Length struct {
	InputTokens  int `json:"input_tokens"`
	OutputTokens int `json:"output_tokens"`
}

// Fixed gives the exact lengths of a set that has such. Those of c4 are its
// minimum.
func (k Kind) Fixed() (Length, bool) {
	switch k {
	case KindRandomShort:
		return Length{128, 64}, true
	case KindRandomMedium:
		return Length{512, 128}, true
	case KindC4:
		return Length{768, 192}, true
	}
	return Length{}, false
}

// Text says that files of this kind hold text, and need the model's tokeniser.
func (k Kind) Text() bool {
	return !k.Trace() && k != KindRandom && k != KindRandomShort && k != KindRandomMedium
}
