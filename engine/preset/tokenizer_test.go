package preset

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// reader encodes and decodes by a tokenizer.json. It reads only that file, so it
// checks what is generated and not how.
type reader struct {
	file tokenizerFile
	text map[int]string // by id, in byteRune letters
	rank map[string]int // by merge
}

func newReader(t *testing.T, p preset) reader {
	t.Helper()
	data, err := p.tokenizerJSON()
	if err != nil {
		t.Fatal(err)
	}
	r := reader{text: map[int]string{}, rank: map[string]int{}}
	if err := json.Unmarshal(data, &r.file); err != nil {
		t.Fatal(err)
	}
	for token, id := range r.file.Model.Vocab {
		r.text[id] = token
	}
	for i, m := range r.file.Model.Merges {
		r.rank[m] = i
	}
	return r
}

var (
	specialToken = regexp.MustCompile(`<\|im_start\|>|<\|im_end\|>|<\|endoftext\|>|<unk>|<s>|</s>`)
	pieces       = regexp.MustCompile(`'(?:s|t|re|ve|m|ll|d)| ?\pL+| ?\pN+| ?[^\s\pL\pN]+|\s+`)
)

func (r reader) encode(text string) []int {
	ids := []int{}
	for text != "" {
		at := specialToken.FindStringIndex(text)
		if at == nil {
			at = []int{len(text), len(text)}
		}
		for plain := text[:at[0]]; plain != ""; {
			n := pieces.FindStringIndex(plain)[1]
			// GPT-2's `\s+(?!\S)`: of several spaces the last goes with the word.
			if strings.TrimSpace(plain[:n]) == "" && n > 1 && n < len(plain) {
				n--
			}
			ids = append(ids, r.encodePiece(plain[:n])...)
			plain = plain[n:]
		}
		if special := text[at[0]:at[1]]; special != "" {
			ids = append(ids, r.file.Model.Vocab[special])
		}
		text = text[at[1]:]
	}
	return ids
}

func (r reader) encodePiece(piece string) []int {
	var word []string
	for _, b := range []byte(piece) {
		word = append(word, string(byteRune(b)))
	}
	for {
		best, at := len(r.rank), -1
		for i := 1; i < len(word); i++ {
			if rank, ok := r.rank[word[i-1]+" "+word[i]]; ok && rank < best {
				best, at = rank, i
			}
		}
		if at < 0 {
			break
		}
		word = slices.Replace(word, at-1, at+1, word[at-1]+word[at])
	}
	var ids []int
	for _, w := range word {
		ids = append(ids, r.file.Model.Vocab[w])
	}
	return ids
}

func (r reader) decode(ids []int) string {
	back := map[rune]byte{}
	for b := range 256 {
		back[byteRune(byte(b))] = byte(b)
	}
	var out []byte
	for _, id := range ids {
		for _, letter := range r.text[id] {
			out = append(out, back[letter])
		}
	}
	return string(out)
}

// roundTrips are read here and, in the integration test, by transformers and
// vLLM. ids are those of preset tiny as transformers gives them.
var roundTrips = []struct {
	name, text string
	ids        []int
}{
	{"empty", "", []int{}},
	{"words", "Hello world", []int{77, 485, 116, 716}},
	{"white space", "  two  spaces\n\ttab", []int{37, 475, 37, 509, 436, 120, 15, 14, 121, 102, 103}},
	{"UTF-8 and emoji", "naïve café 東京 🚀👩‍🔬", []int{115, 102, 200, 180, 300, 365, 107, 200, 174, 37, 235, 162, 182, 233, 191, 177, 37, 245, 164, 159, 133, 245, 164, 150, 174, 231, 133, 146, 245, 164, 153, 177}},
	{"digits and quotes", `In 2024, he said: "it's 42%"`, []int{78, 115, 37, 55, 53, 55, 57, 49, 289, 414, 63, 37, 39, 295, 44, 120, 37, 57, 55, 42, 39}},
	{"chat marker", imStart + "x", []int{3, 125}},
	{"only spaces", "   ", []int{37, 37, 37}},
	{"control bytes", "\x00\x01\x7f", []int{5, 6, 132}},
}

func TestTokenizer_RoundTrip(t *testing.T) {
	tiny, _ := lookup("tiny")
	for _, tt := range roundTrips {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.ids, newReader(t, tiny).encode(tt.text)); diff != "" {
				t.Errorf("ids of tiny (-want +got):\n%s", diff)
			}
			for _, p := range presets {
				r := newReader(t, p)
				ids := r.encode(tt.text)
				if r.decode(ids) != tt.text {
					t.Errorf("%s: %v decodes to %q, want %q", p.name, ids, r.decode(ids), tt.text)
				}
			}
		})
	}
}

func TestTokenizer_Vocabulary(t *testing.T) {
	for _, p := range presets {
		t.Run(p.name, func(t *testing.T) {
			_, shape, err := p.config(0)
			if err != nil {
				t.Fatal(err)
			}
			r := newReader(t, p)
			vocab := r.file.Model.Vocab
			if len(r.text) != len(vocab) {
				t.Errorf("%d tokens share %d ids", len(vocab), len(r.text))
			}
			if want := 256 + maxMerges + len(p.special); len(vocab) != want {
				t.Errorf("%d tokens, want %d", len(vocab), want)
			}
			for token, id := range vocab {
				if id < 0 || id >= shape.Vocab || !utf8.ValidString(token) {
					t.Errorf("token %q has id %d of %d", token, id, shape.Vocab)
				}
			}
			for b := range 256 {
				if _, ok := vocab[string(byteRune(byte(b)))]; !ok {
					t.Errorf("no token for byte %#x", b)
				}
			}
			for _, m := range r.file.Model.Merges {
				left, right, _ := strings.Cut(m, " ")
				for _, token := range []string{left, right, left + right} {
					if _, ok := vocab[token]; !ok {
						t.Errorf("merge %q needs token %q", m, token)
					}
				}
			}
			for id, token := range p.special {
				added := addedToken{ID: id, Content: token, Special: true}
				if vocab[token] != id || !slices.Contains(r.file.AddedTokens, added) {
					t.Errorf("special token %q: id %d in the vocabulary, want %d there and among the added", token, vocab[token], id)
				}
			}
		})
	}
}

// The begin and end tokens are where config.json says.
func TestTokenizer_SpecialIDs(t *testing.T) {
	for _, p := range presets {
		t.Run(p.name, func(t *testing.T) {
			config, shape, err := p.config(0)
			if err != nil {
				t.Fatal(err)
			}
			var ids struct {
				BOS int `json:"bos_token_id"`
				EOS int `json:"eos_token_id"`
			}
			data, err := p.tokenizerConfigJSON(shape.MaxPositions)
			if err != nil {
				t.Fatal(err)
			}
			var names struct {
				BOS string `json:"bos_token"`
				EOS string `json:"eos_token"`
				PAD string `json:"pad_token"`
				Max int    `json:"model_max_length"`
			}
			for from, to := range map[string]any{string(config): &ids, string(data): &names} {
				if err := json.Unmarshal([]byte(from), to); err != nil {
					t.Fatal(err)
				}
			}
			vocab := newReader(t, p).file.Model.Vocab
			if vocab[names.BOS] != ids.BOS || vocab[names.EOS] != ids.EOS || names.PAD != names.EOS {
				t.Errorf("tokenizer has %q at %d, %q at %d, pad %q; config.json has ids %d and %d",
					names.BOS, vocab[names.BOS], names.EOS, vocab[names.EOS], names.PAD, ids.BOS, ids.EOS)
			}
			if names.Max != shape.MaxPositions {
				t.Errorf("model_max_length %d, want %d", names.Max, shape.MaxPositions)
			}
		})
	}
}

// Text that the word list was not made from costs what text costs in practice,
// within a factor of two: published vocabularies reach 4 to 5.
func TestTokenizer_CharactersPerToken(t *testing.T) {
	tests := []struct{ name, text string }{
		{"technical", "Machine learning inference servers batch many requests together so that each forward pass of the neural network does useful work for several users at once, which raises throughput at the price of latency for any single request."},
		{"literary", "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, it was the epoch of belief, it was the epoch of incredulity, it was the season of Light."},
		{"instruction", "Summarize the following customer complaint in two sentences, then propose a polite answer that offers a replacement and explains the delivery delay without admitting any legal responsibility."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newReader(t, presets[0])
			share := float64(len(tt.text)) / float64(len(r.encode(tt.text)))
			if share < 2 || share > 4 {
				t.Errorf("%.2f characters a token, want 2 to 4", share)
			}
		})
	}
}

func TestTrainBPE(t *testing.T) {
	tests := []struct {
		name  string
		words []string
		n     int
		want  []string // spelt results
	}{
		{"none wanted", []string{"the"}, 0, nil},
		{"no words", nil, 5, nil},
		{"until nothing is left to merge", []string{"ab"}, 9, []string{"Ġa", "Ġab"}},
		{"ties go to the lowest pair", []string{"xy", "xy"}, 1, []string{"Ġx"}},
		{"the frequent first", []string{"the", "he", "she"}, 3, []string{"he", "Ġt", "Ġthe"}},
		{"repeated letters", []string{"aaaa"}, 2, []string{"aa", "Ġaa"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := symbols(trainBPE(tt.words, tt.n))[256:]
			if diff := cmp.Diff(tt.want, slices.Clip(got), cmp.Transformer("nil", func(s []string) []string { return append([]string{}, s...) })); diff != "" {
				t.Errorf("merges (-want +got):\n%s", diff)
			}
		})
	}
}

func TestByteRune(t *testing.T) {
	seen := map[rune]bool{}
	for b := range 256 {
		seen[byteRune(byte(b))] = true
	}
	if len(seen) != 256 {
		t.Errorf("%d letters for 256 bytes", len(seen))
	}
	for b, want := range map[byte]rune{'a': 'a', ' ': 'Ġ', '\n': 'Ċ', 0: 'Ā', 0xAD: 'Ń', 0xFF: 'ÿ'} {
		if got := byteRune(b); got != want {
			t.Errorf("byte %#x is %q, want %q", b, got, want)
		}
	}
}
