package bridge

import (
	"encoding/json"
	"errors"
	"testing"
)

func TestCall(t *testing.T) {
	f := open(t)
	reply, err := f.call("threads", "null")
	if err != nil || reply != `["MainThread"]` {
		t.Errorf("threads answered %s, %v", reply, err)
	}
}

func TestCallAbort(t *testing.T) {
	f := open(t)
	f.mustSubmit(t, `[{"max_tokens": 5}]`, request{id: 1, tokens: []int32{10}}, request{id: 2, tokens: []int32{20}})
	if _, err := f.step(0, 0); err != nil {
		t.Fatal(err)
	}
	reply, err := f.call("abort", "[2, 3]")
	if err != nil {
		t.Fatal(err)
	}
	var rows map[int64][]float64
	if err := json.Unmarshal([]byte(reply), &rows); err != nil {
		t.Fatalf("%v in %s", err, reply)
	}
	row := rows[2]
	if len(rows) != 1 || len(row) != StatsWidth || row[0] != 1002.5 || row[6] != 1 {
		t.Errorf("abort of 2 and 3 answered %s", reply)
	}
	v, err := f.step(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "outputs", v.Outputs, []Output{{ID: 1, TokenLen: 1, Stats: -1}})
}

// The audit holds what the adapter gave, to the bit.
func TestCallAudit(t *testing.T) {
	f := open(t)
	f.mustSubmit(t, `[{"max_tokens": 1}]`, request{id: 5, tokens: []int32{10}})
	if _, err := f.step(0, 0); err != nil {
		t.Fatal(err)
	}
	reply, err := f.call("audit", "null")
	if err != nil {
		t.Fatal(err)
	}
	var rows map[int64]map[string]string
	if err := json.Unmarshal([]byte(reply), &rows); err != nil {
		t.Fatalf("%v in %s", err, reply)
	}
	equal(t, "arrival", rows[5]["arrival_time"], "0x1.f6c0000000000p+9") // 1005.5
}

func TestCall_Errors(t *testing.T) {
	f := open(t)
	tests := []struct{ name, method, args, want string }{
		{"unknown method", "dance", "null", "ValueError: no control method 'dance'"},
		{"unknown method in Unicode", "tänze", "null", "ValueError: no control method 'tänze'"},
		{"no method", "", "null", "ValueError: no control method ''"},
		{"no JSON", "abort", "", "JSONDecodeError: Expecting value: line 1 column 1 (char 0)"},
		{"wrong JSON", "abort", "5", "TypeError: 'int' object is not iterable"},
		{"NUL in method", "abort\x00", "[]", `"abort\x00" contains a NUL byte`},
		{"NUL in value", "abort", "[\x00]", `"[\x00]" contains a NUL byte`},
		{"NUL in both", "\x00", "\x00", "\"\\x00\" contains a NUL byte\n\"\\x00\" contains a NUL byte"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			reply, err := f.call(tt.method, tt.args)
			if reply != "" {
				t.Errorf("reply %q", reply)
			}
			wantError(t, err, tt.want)
			var python *PythonError
			if errors.As(err, &python) {
				wantTraceback(t, python, "stepbench_adapter/session.py")
			}
		})
	}
}
