package bridge

import (
	"errors"
	"testing"
)

func TestSubmitRefusalInTheMiddle(t *testing.T) {
	const params = `[{"max_tokens": 1}, {"max_tokens": 0}, {"max_tokens": 1, "stop": ["x"]}]`
	tests := []struct {
		name          string
		third         request
		kind, message string
	}{
		{
			name: "request refused", third: request{id: 3, tokens: []int32{667}},
			kind: "ValueError", message: "request 3 cannot be served",
		},
		{
			name: "parameters refused", third: request{id: 3, tokens: []int32{1}, params: 1},
			kind: "ValueError", message: "max_tokens must be at least 1, got 0.",
		},
		{
			name: "parameters missing", third: request{id: 3, tokens: []int32{1}, params: 3},
			kind: "IndexError", message: "list index out of range",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := open(t)
			n, err := f.submit(pack(params, request{id: 1, tokens: []int32{10}}, request{id: 2, tokens: []int32{20}, params: 2},
				tt.third, request{id: 4, tokens: []int32{40}}))
			var python *PythonError
			if n != 2 || !errors.As(err, &python) {
				t.Fatalf("%d taken, %v; want 2 and a *PythonError", n, err)
			}
			equal(t, "type", python.Type, tt.kind)
			equal(t, "message", python.Message, tt.message)

			// The two before it are in the engine, the one after it is not.
			v, err := f.step(0, 0)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "outputs", v.Outputs, []Output{
				{ID: 1, TokenOff: 0, TokenLen: 1, Finish: 2, Stats: 0},
				{ID: 2, TokenOff: 1, TokenLen: 1, Finish: 2, Stats: 1},
			})
		})
	}
}

func TestSubmitNothing(t *testing.T) {
	f := open(t)
	if n, err := f.submit(pack("[]")); n != 0 || err != nil {
		t.Errorf("%d taken, %v", n, err)
	}
}

// A batch may be the rest of a longer one, whose tokens it keeps.
func TestSubmitRestOfBatch(t *testing.T) {
	f := open(t)
	b := pack(`[{"max_tokens": 1}]`, request{id: 1, tokens: []int32{10, 20}}, request{id: 2, tokens: []int32{30, 40}})
	b.IDs, b.Offsets, b.Params, b.Arrivals = b.IDs[1:], b.Offsets[1:], b.Params[1:], b.Arrivals[1:]
	if n, err := f.submit(b); n != 1 || err != nil {
		t.Fatalf("%d taken, %v", n, err)
	}
	v, err := f.step(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "tokens", v.Tokens, []int32{70})
}

func TestSubmit_Errors(t *testing.T) {
	f := open(t)
	tests := []struct {
		name   string
		change func(b *Batch)
		want   string
	}{
		{"no ids", func(b *Batch) { b.IDs = nil }, "submit: 0 ids with 3 offsets, 2 params, 2 arrivals"},
		{"offset missing", func(b *Batch) { b.Offsets = b.Offsets[:2] }, "submit: 2 ids with 2 offsets, 2 params, 2 arrivals"},
		{"parameters missing", func(b *Batch) { b.Params = b.Params[:1] }, "submit: 2 ids with 3 offsets, 1 params, 2 arrivals"},
		{"arrival missing", func(b *Batch) { b.Arrivals = nil }, "submit: 2 ids with 3 offsets, 2 params, 0 arrivals"},
		{"offset behind the tokens", func(b *Batch) { b.Offsets[2] = 5 }, "submit: offset 2 is 5, outside 2..4"},
		{"offsets fall", func(b *Batch) { b.Offsets[1] = 4; b.Offsets[2] = 3 }, "submit: offset 2 is 3, outside 4..4"},
		{"offset below zero", func(b *Batch) { b.Offsets[0] = -1 }, "submit: offset 0 is -1, outside 0..4"},
		{"parameters below zero", func(b *Batch) { b.Params[1] = -1 }, "submit: request 2 has the parameter index -1"},
		{"NUL in parameters", func(b *Batch) { b.ParamsJSON = []byte("[\x00]") }, `"[\x00]" contains a NUL byte`},
		{
			"parameters are no JSON", func(b *Batch) { b.ParamsJSON = []byte("[") },
			"JSONDecodeError: Expecting value: line 1 column 2 (char 1)",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := pack(`[{"max_tokens": 1}]`, request{id: 1, tokens: []int32{10, 20}}, request{id: 2, tokens: []int32{30, 40}})
			tt.change(&b)
			n, err := f.submit(b)
			if n != 0 {
				t.Errorf("%d taken", n)
			}
			wantError(t, err, tt.want)
			// Nothing of the batch is in the engine.
			if v, err := f.step(0, 0); err != nil || len(v.Outputs) != 0 {
				t.Errorf("the next step gives %v %v", v.Outputs, err)
			}
		})
	}
}
