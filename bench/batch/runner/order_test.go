package runner

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stepbench/bench/batch"
	"stepbench/engine"
)

func TestLongestFirst(t *testing.T) {
	type row struct {
		prompt, maxTokens int
		chat              bool
	}
	tests := []struct {
		name string
		in   []row
		want []int // places in in
	}{
		{"long answers before long prompts", []row{{9, 1, false}, {1, 9, false}, {5, 5, false}}, []int{1, 2, 0}},
		{"equal answers: long prompts", []row{{1, 4, false}, {3, 4, false}, {2, 4, false}}, []int{1, 2, 0}},
		{"no limit: may be longest", []row{{1, 90, true}, {1, 0, true}, {5, 0, true}}, []int{2, 1, 0}},
		{"OpenAI's limit of completions", []row{{1, 0, false}, {1, 17, false}, {1, 15, false}}, []int{1, 0, 2}},
		{"all alike: as they came", []row{{1, 1, false}, {1, 1, false}, {1, 1, false}}, []int{0, 1, 2}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var load []*task
			place := map[*task]int{}
			for i, r := range tt.in {
				task := &task{row: &batch.Row{Sampling: engine.Sampling{MaxTokens: r.maxTokens}}, prompt: make([]int32, r.prompt)}
				if r.chat {
					task.row.Messages = []byte("[]")
				}
				task.ask(limits{100}, false)
				place[task] = i
				load = append(load, task)
			}
			longestFirst(load)
			var got []int
			for _, task := range load {
				got = append(got, place[task])
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("order (-want +got)\n%s", diff)
			}
		})
	}
}

func TestByPrefix(t *testing.T) {
	tests := []struct {
		name string
		in   []string // block size 2
		want []string
	}{
		{"nothing", nil, nil},
		{"nothing shared", []string{"a", "bbbb", "cc", "dddddd"}, []string{"dddddd", "bbbb", "cc", "a"}},
		{"two groups in turn", []string{"AA1", "BB22", "AA3", "BB4", "AA555"}, []string{"AA555", "AA1", "AA3", "BB22", "BB4"}},
		{"a group within a group", []string{"AABB1", "AACC22", "AABB333", "AAD", "AACC4"}, []string{"AABB333", "AABB1", "AACC22", "AACC4", "AAD"}},
		{"half a block is not shared", []string{"A1", "A222", "BBBB", "A3"}, []string{"A222", "BBBB", "A1", "A3"}},
		{"equal prompts", []string{"AAAA", "BB", "AAAA"}, []string{"AAAA", "AAAA", "BB"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var load []*task
			for _, text := range tt.in {
				task := &task{}
				for _, b := range []byte(text) {
					task.prompt = append(task.prompt, int32(b))
				}
				load = append(load, task)
			}
			longestFirst(load)
			byPrefix(load, 2, 0)
			var got []string
			for _, task := range load {
				got = append(got, text(task.prompt))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("order (-want +got)\n%s", diff)
			}
		})
	}
}

// cacheHits is how many blocks of the prompts an LRU cache of so many blocks
// would have served, as they came.
func cacheHits(prompts []string, size, blocks int) (hits int) {
	var recent []string // of prefixes, the latest last
	for _, p := range prompts {
		for end := size; end < len(p); end += size {
			prefix := p[:end]
			for i, r := range recent {
				if r == prefix {
					hits++
					recent = append(recent[:i:i], recent[i+1:]...)
					break
				}
			}
			recent = append(recent, prefix)
		}
		recent = recent[max(0, len(recent)-blocks):]
	}
	return hits
}

// An engine gets prompts that begin alike one behind the other if it caches
// prefixes, and only then.
func TestRunGroupsPrefixes(t *testing.T) {
	const groups, each, size, header = 8, 12, 4, 32
	rows := prompts(groups*each, func(i int) string {
		return strings.Repeat(string(rune('a'+i%groups)), header) + fmt.Sprint(i) + strings.Repeat("x", i*7%20)
	})
	for _, tt := range []struct {
		name       string
		caching    bool
		inputOrder bool
		grouped    bool
	}{
		{"prefix caching", true, false, true},
		{"no prefix caching", false, false, false},
		{"input order", true, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var asked []string
			b := newBench(t, rows, func(b *bench) {
				b.InputOrder, b.Concurrency = tt.inputOrder, 1
				b.Open = func(context.Context) (engine.Feeder, error) {
					l := life(0)
					l.Fake.About = engine.Info{PrefixCaching: tt.caching, KVBlockSize: size}
					l.Fake.Refuse = func(r engine.Request) error {
						asked = append(asked, "^"+text(r.Prompt))
						return nil
					}
					return l, nil
				}
			})
			if err := Run(t.Context(), b.Job); err != nil {
				t.Fatal(err)
			}
			hits := cacheHits(asked, size, 2*header/size) // room for two headers of eight
			// Each header is computed once, whatever follows it.
			all := groups * (each - 1) * header / size
			if len(asked) != len(rows) || (hits >= all) != tt.grouped || !tt.grouped && hits > all/2 {
				t.Errorf("%d blocks of %d prompts were cached; grouped it would be %d", hits, len(asked), all)
			}
		})
	}
}
