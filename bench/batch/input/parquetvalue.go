package input

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go"
)

// leaf is where the values of one Parquet column go.
type leaf struct {
	path  []string
	level int // of repetition: 0 for one value a row, 1 for a list
	// present is the definition level from which on a list has an item.
	present int
	used    bool
	// key of an object in a list, such as role in a list of messages; empty if
	// the values are the items themselves.
	key string
}

func leavesOf(schema *parquet.Schema) []leaf {
	var out []leaf
	for _, path := range schema.Columns() {
		l := leaf{path: path}
		level := 0
		var node parquet.Node = schema
		for _, name := range path {
			at := slices.IndexFunc(node.Fields(), func(f parquet.Field) bool { return f.Name() == name })
			node = node.Fields()[at]
			if node.Optional() || node.Repeated() {
				level++
			}
			if node.Repeated() {
				if l.level++; l.level == 1 {
					l.present = level
				}
			}
		}
		out = append(out, l)
	}
	return out
}

// use marks the leaves of a row's columns, and refuses those of a kind that no
// part of a row has.
func (p *parquetRows) use(c *columns) error {
	names := []string{c.prompt, c.id, c.reference, c.options, c.answer, c.group}
	for i := range p.leaves {
		l := &p.leaves[i]
		if !slices.Contains(names, l.path[0]) {
			continue
		}
		l.used = true
		if l.level == 0 && len(l.path) > 1 {
			return fmt.Errorf("column %s is a structure with %s: a text, number or list is needed", l.path[0], strings.Join(l.path[1:], "."))
		}
		if l.level > 0 && !isItem(l.path) {
			l.key = l.path[len(l.path)-1]
		}
	}
	return nil
}

// isItem says that a repeated leaf holds the items of a list themselves: the
// shapes that writers give lists, and a plain repeated field.
func isItem(path []string) bool {
	last := path[len(path)-1]
	switch len(path) {
	case 1:
		return true
	case 2:
		return last == "array" || last == "element"
	case 3:
		return (path[1] == "list" || path[1] == "bag") && (last == "element" || last == "item" || last == "array_element")
	}
	return false
}

// object makes an object of a row's used columns. A null is left out of a list
// of objects, and kept otherwise.
func (p *parquetRows) object(values parquet.Row) (o object, err error) {
	o = object{}
	lists := map[string][]object{}
	values.Range(func(column int, values []parquet.Value) bool {
		l := &p.leaves[column]
		if !l.used {
			return true
		}
		name := l.path[0]
		var wrong error
		switch {
		case l.level == 0:
			o[name], wrong = l.value(values[0])
		case l.key == "":
			o[name], wrong = l.items(values)
		default:
			lists[name], wrong = l.objects(lists[name], values)
		}
		if err == nil {
			err = wrong // and go on: the id may come later
		}
		return true
	})
	for name, list := range lists {
		if list == nil {
			list = []object{}
		}
		raw, wrong := json.Marshal(list)
		if o[name] = raw; wrong != nil {
			return nil, wrong
		}
	}
	return o, err
}

// empty says that there is no item, which a column says by a single null.
func (l *leaf) empty(values []parquet.Value) bool {
	return len(values) == 1 && values[0].DefinitionLevel() < l.present
}

func (l *leaf) items(values []parquet.Value) (json.RawMessage, error) {
	if l.level > 1 {
		return nil, atField(l.path[0], "is a list of lists")
	}
	if l.empty(values) {
		values = nil
	}
	list := make([]json.RawMessage, len(values))
	for i, v := range values {
		var err error
		if list[i], err = l.value(v); err != nil {
			return nil, err
		}
	}
	return json.Marshal(list)
}

// objects adds l's key to each object of a list. A deeper value is refused in
// rows that have one only: data sets often carry fields like tool_calls that
// are null everywhere.
func (l *leaf) objects(list []object, values []parquet.Value) ([]object, error) {
	if l.level > 1 {
		if slices.ContainsFunc(values, func(v parquet.Value) bool { return !v.IsNull() }) {
			return nil, atField(l.path[0], "its field %s is a list in a list, which is not supported", strings.Join(l.path[1:], "."))
		}
		return list, nil
	}
	if l.empty(values) {
		return list, nil
	}
	for len(list) < len(values) {
		list = append(list, object{})
	}
	for i, v := range values {
		if v.IsNull() {
			continue
		}
		var err error
		if list[i][l.key], err = l.value(v); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// value writes v as JSON.
func (l *leaf) value(v parquet.Value) (json.RawMessage, error) {
	field := l.path[0]
	if v.IsNull() {
		return json.RawMessage("null"), nil
	}
	switch v.Kind() {
	case parquet.Boolean:
		return strconv.AppendBool(nil, v.Boolean()), nil
	case parquet.Int32:
		return strconv.AppendInt(nil, int64(v.Int32()), 10), nil
	case parquet.Int64:
		return strconv.AppendInt(nil, v.Int64(), 10), nil
	case parquet.Float:
		return l.float(float64(v.Float()), 32)
	case parquet.Double:
		return l.float(v.Double(), 64)
	case parquet.ByteArray, parquet.FixedLenByteArray:
		text := v.ByteArray()
		if len(text) > maxRecordBytes {
			return nil, atField(field, "it is longer than %d MiB", maxRecordBytes>>20)
		}
		if at, bad := badUTF8(text); bad {
			return nil, atField(field, "byte %d of it is not UTF-8", at+1)
		}
		return json.Marshal(string(text))
	}
	return nil, atField(field, "values of type %s are not read", v.Kind())
}

func (l *leaf) float(f float64, bits int) (json.RawMessage, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, atField(l.path[0], "%v is no number of JSON", f)
	}
	return strconv.AppendFloat(nil, f, 'g', -1, bits), nil
}
