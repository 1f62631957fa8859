package telemetry

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestValueJSON(t *testing.T) {
	type pair struct {
		A Value[float64] `json:"a"`
		B Value[int64]   `json:"b"`
		C Value[uint64]  `json:"c"`
	}
	tests := []struct {
		name string
		text string
		v    pair
	}{
		{"known", `{"a":1.5,"b":-2,"c":18446744073709551615}`, pair{Of(1.5), Of[int64](-2), Of[uint64](1<<64 - 1)}},
		{"zero is not unknown", `{"a":0,"b":0,"c":0}`, pair{Of(0.0), Of[int64](0), Of[uint64](0)}},
		{"unknown", `{"a":null,"b":null,"c":null}`, pair{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text, err := json.Marshal(tt.v)
			if err != nil || string(text) != tt.text {
				t.Errorf("got %s, %v, want %s", text, err, tt.text)
			}
			got := pair{A: Of(7.0)} // what was there before must not stay
			if err := json.Unmarshal([]byte(tt.text), &got); err != nil || got != tt.v {
				t.Errorf("got %v, %v, want %v", got, err, tt.v)
			}
		})
	}
	var v Value[int64]
	if err := json.Unmarshal([]byte(`"x"`), &v); err == nil {
		t.Errorf("a string became %v", v)
	}
}

func TestRise(t *testing.T) {
	unknown := Value[int64]{}
	tests := []struct {
		name                string
		before, after, want Value[int64]
	}{
		{"up", Of[int64](3), Of[int64](5), Of[int64](2)},
		{"still", Of[int64](3), Of[int64](3), Of[int64](0)},
		{"started anew", Of[int64](3), Of[int64](1), unknown},
		{"unknown before", unknown, Of[int64](1), unknown},
		{"unknown after", Of[int64](1), unknown, unknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, rise(tt.before, tt.after)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
