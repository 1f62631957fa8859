package numerics

import (
	"encoding/json"
	"math"
	"testing"
)

func TestValuesSurviveJSON(t *testing.T) {
	want := Values{0, math.Copysign(0, -1), -0.1, float64(float32(-1.2345678)), math.SmallestNonzeroFloat64,
		math.Inf(1), math.Inf(-1), math.NaN(), math.Float64frombits(0x7ff8000000000123)}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got Values
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("%d values, want %d", len(got), len(want))
	}
	for i := range want {
		if math.Float64bits(got[i]) != math.Float64bits(want[i]) {
			t.Errorf("value %d: %v, want %v", i, got[i], want[i])
		}
	}
}

// The text is what Python's struct.pack("<2d", -1.5, 0.25) gives in base64.
func TestValuesAreLittleEndian(t *testing.T) {
	var got Values
	if err := json.Unmarshal([]byte(`"AAAAAAAA+L8AAAAAAADQPw=="`), &got); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0] != -1.5 || got[1] != 0.25 {
		t.Errorf("got %v, want [-1.5 0.25]", got)
	}
}

func TestValues_Errors(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"half a float", `"AAAA"`, "3 bytes are no list of float64"},
		{"no base64", `"*"`, "illegal base64 data at input byte 0"},
	} {
		var v Values
		if err := json.Unmarshal([]byte(c.text), &v); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestFinite(t *testing.T) {
	for _, c := range []struct {
		name string
		p    position
		want bool
	}{
		{"numbers", position{logprob: -1, topLogprobs: []float64{-1, -2}}, true},
		{"NaN of the token", position{logprob: math.NaN(), topLogprobs: []float64{-1}}, false},
		{"Inf of the token", position{logprob: math.Inf(-1), topLogprobs: []float64{-1}}, false},
		{"NaN of another", position{logprob: -1, topLogprobs: []float64{-1, math.NaN()}}, false},
	} {
		if got := c.p.finite(); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}

func TestSameBits(t *testing.T) {
	base := position{1, -0.5, []int32{1, 2}, []float64{-0.5, math.NaN()}}
	for _, c := range []struct {
		name string
		q    position
		want bool
	}{
		{"itself, NaN included", position{1, -0.5, []int32{1, 2}, []float64{-0.5, math.NaN()}}, true},
		{"token", position{2, -0.5, []int32{1, 2}, []float64{-0.5, math.NaN()}}, false},
		{"last bit", position{1, math.Nextafter(-0.5, 0), []int32{1, 2}, []float64{-0.5, math.NaN()}}, false},
		{"order", position{1, -0.5, []int32{2, 1}, []float64{-0.5, math.NaN()}}, false},
		{"value of another", position{1, -0.5, []int32{1, 2}, []float64{-0.5, -3}}, false},
		{"fewer", position{1, -0.5, []int32{1}, []float64{-0.5}}, false},
	} {
		if got := base.sameBits(c.q); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}

// Whatever is read as a list of floats is written back as it was.
func FuzzValues(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0xf8, 0x7f}) // NaN
	f.Add([]byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, data []byte) {
		text, err := json.Marshal(data)
		if err != nil {
			t.Fatal(err)
		}
		var v Values
		if err := json.Unmarshal(text, &v); (err == nil) != (data == nil || len(data)%8 == 0) {
			t.Fatalf("%d bytes: %v", len(data), err)
		} else if err != nil {
			return
		}
		if len(data) == 0 {
			text = []byte(`""`)
		}
		if back, err := json.Marshal(v); err != nil || string(back) != string(text) {
			t.Errorf("read %s, wrote %s, %v", text, back, err)
		}
	})
}
