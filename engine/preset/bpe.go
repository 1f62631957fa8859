package preset

import (
	_ "embed"
	"slices"
	"strings"
	"sync"
)

// words.txt lists common English words, most frequent first.
//
//go:embed words.txt
var wordList string

// maxMerges keeps every preset's tokenizer below the smallest vocabulary, and
// its file small, and still packs 2-4 characters of English into a token.
const maxMerges = 700

// pair is two adjacent symbols: 0..255 are bytes, 256+k is the result of
// merge k.
type pair [2]int

// merges are the merges of all presets: one byte-pair training over the word
// list, done once a process.
var merges = sync.OnceValue(func() []pair {
	return trainBPE(strings.Fields(wordList), maxMerges)
})

// trainBPE learns at most n merges from words ordered by frequency: each time
// the pair that occurs most, of equals the lowest, so that the result depends
// on nothing but its input. Words count by Zipf's law, 1/rank, and stand after
// a space as they do in a sentence.
// Source: Sennrich et al. 2016, "Neural Machine Translation of Rare Words with
// Subword Units", on bytes as in GPT-2.
func trainBPE(words []string, n int) []pair {
	texts := make([][]int, len(words))
	for i, w := range words {
		for _, b := range []byte(" " + w) {
			texts[i] = append(texts[i], int(b))
		}
	}
	var learnt []pair
	for len(learnt) < n {
		counts := map[pair]int{}
		for i, text := range texts {
			weight := 1_000_000 / (i + 1)
			for k := 1; k < len(text); k++ {
				counts[pair{text[k-1], text[k]}] += weight
			}
		}
		best, most := pair{}, 0
		for p, count := range counts {
			if count > most || count == most && slices.Compare(p[:], best[:]) < 0 {
				best, most = p, count
			}
		}
		if most == 0 {
			break
		}
		for i, text := range texts {
			texts[i] = applyMerge(text, best, 256+len(learnt))
		}
		learnt = append(learnt, best)
	}
	return learnt
}

// applyMerge replaces p by symbol in text, from the left, in place.
func applyMerge(text []int, p pair, symbol int) []int {
	out := text[:0]
	for i := 0; i < len(text); i++ {
		if i+1 < len(text) && text[i] == p[0] && text[i+1] == p[1] {
			out = append(out, symbol)
			i++
		} else {
			out = append(out, text[i])
		}
	}
	return out
}

// byteRune is how byte-level BPE writes a byte in a vocabulary: itself where
// it is a visible Latin-1 character, else the next rune from U+0100 on, so
// that a space is "Ġ". Source: bytes_to_unicode in GPT-2's encoder.py.
func byteRune(b byte) rune {
	if visible(int(b)) {
		return rune(b)
	}
	hidden := 0
	for c := range int(b) {
		if !visible(c) {
			hidden++
		}
	}
	return rune(256 + hidden)
}

func visible(c int) bool {
	return c >= '!' && c <= '~' || c >= 0xA1 && c <= 0xAC || c >= 0xAE && c <= 0xFF
}

// symbols spells every symbol: 256 bytes, then the results of the merges.
func symbols(ms []pair) []string {
	out := make([]string, 0, 256+len(ms))
	for b := range 256 {
		out = append(out, string(byteRune(byte(b))))
	}
	for _, m := range ms {
		out = append(out, out[m[0]]+out[m[1]])
	}
	return out
}
