//go:build integration && soak

package main

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shirou/gopsutil/v3/process"

	"stepbench/bench/figure"
	"stepbench/bench/telemetry"
)

// soakEvery is how often everything is read, which takes some milliseconds.
const soakEvery = 5 * time.Second

// soakRows is about the most rows of a CSV file, and points of a line.
const soakRows = 400

// soakSample is this process, which runs the command, and all below it.
type soakSample struct {
	atS        float64
	processes  float64 // in the tree
	goroutines float64 // of this process
	heapBytes  float64 // of this process, live at the last collection
	held       map[string]holding
}

// holding is what one process has.
type holding struct{ rssBytes, files, threads float64 }

// soak reads until it is ended.
type soak struct {
	begin   time.Time
	stop    chan struct{}
	stopped chan struct{}
	host    *telemetry.Host
	names   map[int]string // by process id; empty for those that come and go
	order   []string       // of the names
	samples []soakSample
}

func beginSoak() *soak {
	s := &soak{
		begin: time.Now(), stop: make(chan struct{}), stopped: make(chan struct{}),
		host: telemetry.NewHost(), names: map[int]string{os.Getpid(): "parent"}, order: []string{"parent"},
	}
	go func() {
		defer close(s.stopped)
		tick := time.NewTicker(soakEvery)
		defer tick.Stop()
		for {
			s.samples = append(s.samples, s.read())
			select {
			case <-tick.C:
			case <-s.stop:
				return
			}
		}
	}()
	return s
}

// end stops reading.
func (s *soak) end() {
	close(s.stop)
	<-s.stopped
}

func (s *soak) read() soakSample {
	own := []metrics.Sample{{Name: "/sched/goroutines:goroutines"}, {Name: "/gc/heap/live:bytes"}}
	metrics.Read(own)
	tree := s.host.Process(os.Getpid())
	sample := soakSample{
		atS: time.Since(s.begin).Seconds(), processes: float64(len(tree.Members)),
		goroutines: float64(own[0].Value.Uint64()), heapBytes: float64(own[1].Value.Uint64()), held: map[string]holding{},
	}
	for _, m := range tree.Members {
		name := s.name(m.PID)
		p := process.Process{Pid: int32(m.PID)}
		files, err1 := p.NumFDs()
		threads, err2 := p.NumThreads()
		if name == "" || err1 != nil || err2 != nil || !m.RSSBytes.Known {
			continue // ended meanwhile
		}
		sample.held[name] = holding{float64(m.RSSBytes.V), float64(files), float64(threads)}
	}
	return sample
}

// name says what a process is, in the order in which they are first seen.
func (s *soak) name(pid int) string {
	name, known := s.names[pid]
	if known {
		return name
	}
	line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	kind := ""
	switch {
	case err != nil:
		return ""
	case bytes.Contains(line, []byte("\x00worker\x00")), bytes.Contains(line, []byte("StepbenchWorker")):
		kind = "worker"
	case bytes.Contains(line, []byte("tokenizer")):
		kind = "tokenizer"
	}
	if kind != "" {
		number := 1
		for _, other := range s.order {
			if strings.HasPrefix(other, kind) {
				number++
			}
		}
		name = fmt.Sprintf("%s %d", kind, number)
		s.order = append(s.order, name)
	}
	s.names[pid] = name
	return name
}

// soakSeries is one quantity of one process over time.
type soakSeries struct {
	who, what string
	bytes     bool
	atS       []float64
	value     []float64
}

// quantities of every process.
var soakQuantities = []struct {
	what  string
	bytes bool
	of    func(holding) float64
}{
	{"resident memory", true, func(h holding) float64 { return h.rssBytes }},
	{"open files", false, func(h holding) float64 { return h.files }},
	{"threads", false, func(h holding) float64 { return h.threads }},
}

func (s *soak) series() []soakSeries {
	var all []soakSeries
	add := func(who, what string, bytes bool, of func(soakSample) (float64, bool)) {
		series := soakSeries{who: who, what: what, bytes: bytes}
		for _, sample := range s.samples {
			if v, ok := of(sample); ok {
				series.atS, series.value = append(series.atS, sample.atS), append(series.value, v)
			}
		}
		all = append(all, series)
	}
	for _, q := range soakQuantities {
		for _, who := range s.order {
			add(who, q.what, q.bytes, func(sample soakSample) (float64, bool) {
				h, ok := sample.held[who]
				return q.of(h), ok
			})
		}
	}
	add("parent", "live heap", true, func(sample soakSample) (float64, bool) { return sample.heapBytes, true })
	add("parent", "goroutines", false, func(sample soakSample) (float64, bool) { return sample.goroutines, true })
	add("all", "processes", false, func(sample soakSample) (float64, bool) { return sample.processes, true })
	return all
}

// check fails the test for whatever grew after the warm-up, and for processes other
// than those wanted: one that was replaced would begin anew. It keeps what was read
// as DIR/soak-NAME.csv, .png and .svg if $STEPBENCH_SOAK_OUT names a directory.
func (s *soak) check(t *testing.T, name, title string, want ...string) {
	t.Helper()
	lasted := s.samples[len(s.samples)-1].atS
	warmUpS := soakWarmUpFrac * lasted
	t.Logf("%s: %d readings in %.0f s, of which the first %.0f s are warm-up", title, len(s.samples), lasted, warmUpS)
	if got := slices.Sorted(slices.Values(s.order[1:])); !slices.Equal(got, want) {
		t.Errorf("processes %q beside the parent, want %q", got, want)
	}
	notes := []string{fmt.Sprintf("One reading each %.0f s for %.0f s. Change per hour after the warm-up (Theil and Sen):", soakEvery.Seconds(), lasted)}
	for _, series := range s.series() {
		d, ok := driftOf(series.atS, series.value, warmUpS)
		if !ok {
			t.Errorf("%s of %s: too few readings", series.what, series.who)
			continue
		}
		grows, unit, scale := d.countGrows, "", 1.0
		if series.bytes {
			grows, unit, scale = d.bytesGrow, " MiB", mib
		}
		line := fmt.Sprintf("%s, %s: %.4g to %.4g%s, %+.2f%s an hour", series.who, series.what, d.Start/scale, d.End/scale, unit, d.PerHour/scale, unit)
		t.Log(line)
		if series.bytes {
			notes = append(notes, line)
		}
		if why := grows(); why != "" {
			t.Errorf("%s of %s grows: %s", series.what, series.who, why)
		}
	}
	if dir := os.Getenv("STEPBENCH_SOAK_OUT"); dir != "" {
		s.keep(t, filepath.Join(dir, "soak-"+name), s.figure(name, title, warmUpS, notes))
	}
}

// thin is every so many of the readings.
func (s *soak) thin() *soak {
	every := (len(s.samples) + soakRows - 1) / soakRows
	thin := *s
	thin.samples = nil
	for i := 0; i < len(s.samples); i += every {
		thin.samples = append(thin.samples, s.samples[i])
	}
	return &thin
}

// figure has a panel for each quantity; memory has two, of which one shows changes
// that the other is too coarse for.
func (s *soak) figure(name, title string, warmUpS float64, notes []string) *figure.Figure {
	const minute = 60
	var panels []figure.CoursePanel
	at := map[string]int{}
	add := func(label string, series soakSeries, scale, less float64) {
		i, known := at[label]
		if !known {
			i, at[label] = len(panels), len(panels)
			panels = append(panels, figure.CoursePanel{Label: label})
		}
		line := figure.CourseLine{Name: series.who}
		for k, s := range series.atS {
			line.X, line.Y = append(line.X, s/minute), append(line.Y, (series.value[k]-less)/scale)
		}
		panels[i].Lines = append(panels[i].Lines, line)
	}
	for _, series := range s.thin().series() {
		switch {
		case series.what == "processes":
		case series.what == "resident memory":
			add("resident memory (MiB)", series, mib, 0)
			if d, ok := driftOf(series.atS, series.value, warmUpS); ok {
				add("change of it since the warm-up (MiB)", series, mib, d.Start)
			}
		case series.bytes:
			add(series.what+" of the "+series.who+" (MiB)", series, mib, 0)
		default:
			add(series.what, series, 1, 0)
		}
	}
	return figure.Courses("soak-"+name, title, "time (min)", warmUpS/minute, panels, notes)
}

func (s *soak) keep(t *testing.T, stem string, f *figure.Figure) {
	t.Helper()
	head := []string{"elapsed_s", "processes", "parent_goroutines", "parent_live_heap_bytes"}
	for _, who := range s.order {
		prefix := strings.ReplaceAll(who, " ", "_")
		head = append(head, prefix+"_rss_bytes", prefix+"_open_files", prefix+"_threads")
	}
	rows := [][]string{head}
	whole := func(v float64) string { return strconv.FormatFloat(v, 'f', 0, 64) }
	for _, sample := range s.thin().samples {
		row := []string{strconv.FormatFloat(sample.atS, 'f', 1, 64), whole(sample.processes), whole(sample.goroutines), whole(sample.heapBytes)}
		for _, who := range s.order {
			cells := []string{"", "", ""} // not there
			if h, ok := sample.held[who]; ok {
				cells = []string{whole(h.rssBytes), whole(h.files), whole(h.threads)}
			}
			row = append(row, cells...)
		}
		rows = append(rows, row)
	}
	var table, png, svg bytes.Buffer
	for _, err := range []error{csv.NewWriter(&table).WriteAll(rows), f.PNG(&png), f.SVG(&svg), os.MkdirAll(filepath.Dir(stem), 0o755)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for suffix, data := range map[string][]byte{".csv": table.Bytes(), ".png": png.Bytes(), ".svg": svg.Bytes()} {
		if err := os.WriteFile(stem+suffix, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
