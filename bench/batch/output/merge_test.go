package output

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// shard makes the folder of shard i of n.
func shard(t testing.TB, f Format, i, n int, state State, inputRows int64, rows ...int64) string {
	t.Helper()
	m := manifest(f)
	m.Shard, m.PartRows = &Shard{i, n}, 7
	m.Input[0].Name = fmt.Sprintf("/node%d/in.jsonl", i) // each machine's own copy
	m.Input[0].ModifiedUnixNs = int64(i)
	dir := t.TempDir()
	s := open(t, dir, m)
	for _, row := range rows {
		appendRows(t, s, row)
	}
	err := error(nil)
	if state == Running {
		err = s.Close()
	} else {
		err = s.Finish(state, inputRows)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func every(n, from, step int64) (rows []int64) {
	for row := from; row < n; row += step {
		rows = append(rows, row)
	}
	return rows
}

func TestMerge(t *testing.T) {
	const rows = 100
	for _, from := range Formats {
		for _, to := range []Format{"", Parquet, JSONL, OpenAI} {
			for _, ordered := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s to %s ordered=%t", from, to, ordered), func(t *testing.T) {
					dirs := []string{
						shard(t, from, 0, 3, Complete, rows, every(rows, 0, 3)...),
						shard(t, from, 1, 3, Running, 0, every(rows, 1, 3)...), // killed at the very end
						shard(t, from, 2, 3, Complete, rows, every(rows, 2, 3)...),
					}
					out := filepath.Join(t.TempDir(), "a", "merged")
					m, err := Merge(dirs, out, MergeOptions{Format: to, Ordered: ordered, PartRows: 30})
					if err != nil {
						t.Fatal(err)
					}
					if m.Counts != (Counts{rows, rows, (rows + 5) / 6}) || m.Shard != nil || m.State != Complete {
						t.Errorf("manifest %+v", m)
					}
					wantRows(t, out, rows)
					want := m.Format
					c, err := list(out, want)
					if err != nil || c.ordered != ordered || !ordered && len(c.parts) != 4 || ordered && len(c.parts) != 0 {
						t.Errorf("the folder holds %+v, %v", c, err)
					}
					if _, err := Merge(dirs, out, MergeOptions{}); err == nil || !strings.Contains(err.Error(), "holds files") {
						t.Errorf("over a folder with files: %v", err)
					}
				})
			}
		}
	}
}

func TestMerge_Errors(t *testing.T) {
	a := shard(t, JSONL, 0, 2, Complete, 10, 0, 2, 4, 6, 8)
	b := shard(t, JSONL, 1, 2, Interrupted, 0, 1, 3, 4)
	other := shard(t, JSONL, 1, 2, Complete, 10, 1)
	{
		m, err := ReadManifest(other)
		if err != nil {
			t.Fatal(err)
		}
		m.Input[0].SizeBytes = 99
		if err := m.write(other); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(t.TempDir(), "out")
	_, err := Merge([]string{a, b}, out, MergeOptions{})
	want := &MergeError{Rows: 10, Missing: []Range{{5, 5}, {7, 7}, {9, 9}}, Double: []Range{{4, 4}}}
	var got *MergeError
	if !errors.As(err, &got) {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	const text = "merge: 3 of 10 rows are missing (5, 7, 9): go on with their shards; 1 rows are in more than one folder (4): leave one of these out"
	if err.Error() != text {
		t.Errorf("error %q, want %q", err, text)
	}
	if Exists(out) {
		t.Error("a folder is there after an error")
	}
	tests := []struct {
		name string
		dirs []string
		o    MergeOptions
		want string
	}{
		{"missing", []string{a}, MergeOptions{}, "5 of 10 rows are missing (1, 3, 5, 7, 9)"},
		{"double though partial", []string{a, b}, MergeOptions{Partial: true}, "1 rows are in more than one folder (4)"},
		{"no end", []string{b}, MergeOptions{}, "no shard has reached the end of the input"},
		{"another input", []string{a, other}, MergeOptions{}, "/node1/in.jsonl"},
		{"no folders", nil, MergeOptions{}, "no folders given"},
		{"no run", []string{t.TempDir()}, MergeOptions{}, "is no output of a batch"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Merge(tt.dirs, out, tt.o)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
	if _, err := Merge([]string{a}, out, MergeOptions{Partial: true}); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]int64{0, 2, 4, 6, 8}, read(t, out, ByIndex)); diff != "" {
		t.Error(diff)
	}
}
