package calibrations

import (
	"io/fs"
	"math"
	"path"
	"testing"
	"testing/fstest"
)

// FuzzRead: a file gives noise that can be used, or an error.
func FuzzRead(f *testing.F) {
	names, err := fs.Glob(shipped, "shipped/*.json")
	if err != nil || len(names) == 0 {
		f.Fatal(names, err)
	}
	for _, name := range names {
		text, err := shipped.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
		f.Add(text[:len(text)/2])
	}
	f.Add([]byte(`{"schema_version":1,"launches_log":[0,0,0,0,0,0,0,0,0,0],"within_variances":[0,0,0,0,0,0,0,0,0,0],"quads_per_launch":2}`))
	f.Add([]byte(`{"schema_version":1,"quads_per_launch":1e308,"launches_log":[1e308,-1e308]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		all, err := read(fstest.MapFS{"c.json": {Data: text}})
		if err != nil {
			return
		}
		c := all[0]
		if found, why := all.Find(c.Key); found != c || why != "" {
			t.Fatalf("it is not found by its own key: %s", why)
		}
		if name := Name(c.Key); path.Base(name) != name || name == ".json" && len(all) == 0 {
			t.Fatalf("name %q", name)
		}
		for _, v := range []float64{c.Variance(1), c.Variance(8), c.FloorLog(3, 8), c.MDE80Log(0.05, 3, 8)} {
			if math.IsNaN(v) || v < 0 {
				t.Fatalf("%g of %s", v, text)
			}
		}
	})
}
