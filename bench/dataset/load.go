package dataset

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

// Tokenise turns texts into token ids, without special tokens.
type Tokenise func(ctx context.Context, texts []string) ([][]int32, error)

// LoadSpec says what to make of a file.
type LoadSpec struct {
	Source   Source
	Requests int
	// Length is the output length where the file gives none, and for C4 the
	// least input length. For traces it is not used.
	Length Length
	// MaxModelTokens leaves out requests whose prompt and output are longer
	// together; 0 is no limit.
	MaxModelTokens int
	// Random draws the prompts of traces, and its seed chooses among the rows.
	Random RandomSpec
	// Tokenise is needed for files of text.
	Tokenise Tokenise
}

// Loaded are the requests that came of a file.
type Loaded struct {
	Items      []Item
	Rows       int            // read
	LeftOut    map[string]int // of those looked at, by reason
	TokeniseNs int64
	Tokenised  int64 // tokens
}

// Load makes requests of a file. Of a trace they are the first that fit; of
// prompts they are chosen by the seed among the first rows, so that repeats
// with other seeds have other prompts, without reading a file of any size to
// its end. A trace may have fewer than asked for, prompts may not.
func Load(ctx context.Context, spec LoadSpec) (Loaded, error) {
	l := loader{LoadSpec: spec, out: Loaded{LeftOut: map[string]int{}}}
	var err error
	if spec.Source.Kind.Trace() {
		err = l.trace()
	} else {
		err = l.prompts(ctx)
	}
	if err == nil && len(l.out.Items) == 0 {
		err = fmt.Errorf("%s: no usable request in %d rows%s", spec.Source, l.out.Rows, l.reasons())
	}
	return l.out, err
}

// Check reads as much of s as Load would for that many requests, and says what
// is wrong with it.
func Check(s Source, requests int) error {
	l := loader{LoadSpec: LoadSpec{Source: s, Requests: requests}, out: Loaded{LeftOut: map[string]int{}}}
	usable := 0
	err := l.read(func(Row) bool {
		usable++
		return usable < l.pool()
	})
	if err == nil && usable == 0 {
		err = fmt.Errorf("%s: no usable request in %d rows%s", s, l.out.Rows, l.reasons())
	}
	return err
}

type loader struct {
	LoadSpec
	out Loaded
}

// pool is how many usable rows are looked at for the requests.
func (l *loader) pool() int {
	if l.Source.Kind.Trace() {
		return l.Requests
	}
	const perRequest, most = 16, 1 << 14
	return max(l.Requests, min(perRequest*l.Requests, most))
}

// read hands usable rows to use until it says no.
func (l *loader) read(use func(Row) bool) error {
	r, err := Open(l.Source)
	if err != nil {
		return err
	}
	defer r.Close()
	for {
		row, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		l.out.Rows++
		if row.LeftOut != "" {
			l.out.LeftOut[row.LeftOut]++
		} else if !use(row) {
			return nil
		}
	}
}

const tooLongForModel = "longer than the model allows"

// fits counts what does not.
func (l *loader) fits(input, output int) bool {
	if l.MaxModelTokens > 0 && input > l.MaxModelTokens-output {
		l.out.LeftOut[tooLongForModel]++
		return false
	}
	return true
}

func (l *loader) reasons() string {
	text := ""
	for _, reason := range slices.Sorted(maps.Keys(l.out.LeftOut)) {
		text += fmt.Sprintf(", %d %s", l.out.LeftOut[reason], reason)
	}
	return text
}

func (l *loader) trace() error {
	random := l.Random
	random.InputTokens, random.OutputTokens = 1, 1 // every row has its own
	prompts, err := NewRandom(random)
	if err != nil {
		return err
	}
	return l.read(func(row Row) bool {
		if l.fits(row.InputTokens, row.OutputTokens) {
			item := Item{OutputTokens: row.OutputTokens, AtNs: row.AtNs}
			if row.Blocks != nil {
				item.Prompt = prompts.blocks(row.Blocks, row.InputTokens)
			} else {
				item.Prompt = prompts.Prompt(len(l.out.Items), row.InputTokens)
			}
			l.out.Items = append(l.out.Items, item)
		}
		return len(l.out.Items) < l.Requests
	})
}

// blocks is a prompt of n tokens in which equal ids are equal blocks, so that a
// prefix cache sees what the trace's did.
func (r *Random) blocks(ids []int64, n int) []int32 {
	prompt := make([]int32, 0, n)
	for _, id := range ids {
		if len(prompt) < n {
			prompt = append(prompt, r.draw(fmt.Sprintf("block=%d", id), min(BlockTokens, n-len(prompt)))...)
		}
	}
	return prompt
}

func (l *loader) prompts(ctx context.Context) error {
	var pool []Row
	err := l.read(func(row Row) bool {
		pool = append(pool, row)
		return len(pool) < l.pool()
	})
	if err != nil {
		return err
	}
	rng := rand.New(rand.NewChaCha8(sha256.Sum256([]byte(fmt.Sprintf("stepbench/dataset/1/seed=%d", l.Random.Seed)))))
	for i := len(pool) - 1; i > 0; i-- {
		k := rng.IntN(i + 1)
		pool[i], pool[k] = pool[k], pool[i]
	}
	used := 0
	for l.complete() < l.Requests && used < len(pool) {
		batch := nextBatch(pool[used:])
		used += len(batch)
		if err := l.tokens(ctx, batch); err != nil {
			return err
		}
		if l.Source.Kind == KindC4 {
			l.pack(batch)
			continue
		}
		for i := range batch {
			l.add(batch[i].Tokens, batch[i].OutputTokens)
		}
	}
	l.out.Items = l.out.Items[:l.complete()]
	if n := len(l.out.Items); n < l.Requests {
		return fmt.Errorf("%s: %d rows make %d requests, %d were asked for%s: lower --requests or give more rows",
			l.Source, l.out.Rows, n, l.Requests, l.reasons())
	}
	return nil
}

// What goes to the tokeniser at once: an exchange with the worker holds no more.
const (
	tokeniseRows  = 64
	tokeniseBytes = 4 << 20 // and the row that goes beyond
)

// nextBatch is as much of rows as is tokenised at once.
func nextBatch(rows []Row) []Row {
	size := 0
	for i := range rows {
		size += len(rows[i].Text) + len(rows[i].Completion)
		if i+1 == tokeniseRows || size >= tokeniseBytes {
			return rows[:i+1]
		}
	}
	return rows
}

// tokens gives rows of text their tokens, and output lengths where a file has
// the answers.
func (l *loader) tokens(ctx context.Context, rows []Row) error {
	var texts []string
	for i := range rows {
		if rows[i].Text != "" {
			texts = append(texts, rows[i].Text)
		}
		if rows[i].Completion != "" {
			texts = append(texts, rows[i].Completion)
		}
	}
	if len(texts) == 0 {
		return l.checkVocabulary(rows)
	}
	if l.Tokenise == nil {
		return fmt.Errorf("%s holds text, and there is no tokeniser for it", l.Source)
	}
	start := time.Now()
	ids, err := l.Tokenise(ctx, texts)
	if err != nil {
		return fmt.Errorf("tokenise %s: %w", l.Source, err)
	}
	l.out.TokeniseNs += time.Since(start).Nanoseconds()
	if len(ids) != len(texts) {
		return fmt.Errorf("tokenise %s: %d texts gave %d lists of tokens", l.Source, len(texts), len(ids))
	}
	for i := range rows {
		if rows[i].Text != "" {
			rows[i].Tokens, ids = ids[0], ids[1:]
			l.out.Tokenised += int64(len(rows[i].Tokens))
		}
		if rows[i].Completion != "" {
			rows[i].OutputTokens, ids = len(ids[0]), ids[1:]
			l.out.Tokenised += int64(rows[i].OutputTokens)
		}
	}
	return l.checkVocabulary(rows)
}

func (l *loader) checkVocabulary(rows []Row) error {
	for i := range rows {
		for _, id := range rows[i].Tokens {
			if id < 0 || int(id) >= l.Random.Vocab {
				return fmt.Errorf("%s: row ending at line %d: token id %d is outside the model's vocabulary of %d",
					l.Source, rows[i].Line, id, l.Random.Vocab)
			}
		}
	}
	return nil
}

// add makes a request of a prompt, if it fits.
func (l *loader) add(prompt []int32, output int) {
	if output == 0 {
		output = l.Length.OutputTokens
	}
	switch {
	case len(l.out.Items) == l.Requests:
	case len(prompt) == 0:
		l.out.LeftOut["no tokens"]++
	case l.fits(len(prompt), output):
		l.out.Items = append(l.out.Items, Item{Prompt: prompt, OutputTokens: output})
	}
}

// SHA256 identifies items: prompts, output lengths and times.
func SHA256(items []Item) string {
	sum := sha256.New()
	put := func(v any) { _ = binary.Write(sum, binary.LittleEndian, v) } // a hash takes everything
	for _, it := range items {
		put(int64(len(it.Prompt)))
		put(it.Prompt)
		put(int64(it.OutputTokens))
		put(it.AtNs)
	}
	return hex.EncodeToString(sum.Sum(nil))
}
