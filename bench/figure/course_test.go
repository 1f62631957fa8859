package figure

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"testing"

	"stepbench/internal/golden"
)

func TestCourses(t *testing.T) {
	line := func(name string, y func(k float64) float64) CourseLine {
		l := CourseLine{Name: name}
		for k := range 40 {
			l.X, l.Y = append(l.X, float64(k)/2), append(l.Y, y(float64(k)))
		}
		return l
	}
	f := Courses("course", "What two processes hold", "time (min)", 2, []CoursePanel{
		{"resident memory (MiB)", []CourseLine{
			line("parent", func(k float64) float64 { return 60 + 3*math.Sin(k) }),
			line("worker", func(k float64) float64 { return 500 - 400*math.Exp(-k) }),
		}},
		{"change since warm-up (MiB)", []CourseLine{
			line("worker", func(k float64) float64 { return 3 * math.Cos(k/3) }), // looks as in the first panel
		}},
		{"open files", nil},
	}, sampleNotes)
	var svg bytes.Buffer
	if err := f.SVG(&svg); err != nil {
		t.Fatal(err)
	}
	golden.Check(t, filepath.Join("testdata", "course.svg"), svg.Bytes())
	if dir := os.Getenv("STEPBENCH_FIGURES"); dir != "" {
		if err := writePNG(filepath.Join(dir, "course.png"), f); err != nil {
			t.Fatal(err)
		}
	}
}
