package suite

import (
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// places are the lines of keys in a TOML text, by dotted key.
type places map[string]int

// lines finds every key of a text that the decoder has accepted. What it cannot
// find only lacks its line in a message.
func lines(text []byte) places {
	at := places{}
	p := unstable.Parser{}
	p.Reset(text)
	var table []string
	for p.NextExpression() {
		e := p.Expression()
		var key []string
		line := 0
		for it := e.Key(); it.Next(); {
			node := it.Node()
			key = append(key, string(node.Data))
			if line == 0 {
				line = p.Shape(node.Raw).Start.Line
			}
		}
		if e.Kind == unstable.Table || e.Kind == unstable.ArrayTable {
			table = key
			at.add(table, line)
			continue
		}
		at.add(append(append([]string(nil), table...), key...), line)
	}
	return at
}

func (at places) add(key []string, line int) {
	name := strings.Join(key, ".")
	if _, known := at[name]; !known {
		at[name] = line
	}
}

// find gives the line of a key, or of the nearest table around it.
func (at places) find(key string) (line int, ok bool) {
	for {
		if line, ok := at[key]; ok {
			return line, true
		}
		i := strings.LastIndexByte(key, '.')
		if i < 0 {
			return 0, false
		}
		key = key[:i]
	}
}
