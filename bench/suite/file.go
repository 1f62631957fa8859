package suite

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"stepbench/bench/arrival"
	"stepbench/bench/dataset"
	"stepbench/bench/workload"
)

// Modes of putting axes together.
const (
	Sweep = "sweep" // around a base, one axis at a time
	Cross = "cross" // every combination
)

// Profiles of a suite: how much its numbers can carry.
const (
	ProfileQuick    = workload.ProfileQuick
	ProfileStandard = "standard"
)

// File is a suite as its TOML says, with defaults filled in and everything
// checked that can be without a model.
type File struct {
	Name    string `toml:"name"`
	Profile string `toml:"profile"` // quick (default) or standard
	Mode    string `toml:"mode"`    // sweep (default) or cross

	Repeats int `toml:"repeats"` // fresh random keys each, equal for all points
	// Requests of a point; or the length of its window at the point's rate, with
	// the warm-up before it.
	Requests int     `toml:"requests"`
	WindowS  float64 `toml:"window_s"`
	WarmUpS  float64 `toml:"warmup_s"`

	SLO      string   `toml:"slo"` // as ttft=200ms,tpot=50ms
	Seed     uint64   `toml:"seed"`
	SampleHz *float64 `toml:"sample_hz"` // 10 unless given; 0: no samples

	// C4 is a file, or a pattern of files, for dataset c4. Without it random
	// tokens of the same lengths stand in.
	C4 string `toml:"c4"`

	// The axes. The first of each is the base's unless Base names another.
	Models      []string  `toml:"models"`
	Datasets    []string  `toml:"datasets"`
	Rates       []float64 `toml:"rates"`
	Patterns    []string  `toml:"patterns"`
	Concurrency []int     `toml:"concurrency"` // closed loops beside the patterns
	Parallelism []string  `toml:"parallelism"` // "tp=1", "tp=2,pp=2"

	// CPURanks runs parallelism on a machine without a GPU: ranks are processes
	// that share its CPU. It shows that a model can be spread, not how it scales.
	CPURanks bool `toml:"cpu_ranks"`

	Base Base `toml:"base"`

	Engine  EngineOptions             `toml:"engine"` // of all models
	Model   map[string]EngineOptions  `toml:"model"`  // what differs for one
	Dataset map[string]DatasetOptions `toml:"dataset"`
	Burst   BurstOptions              `toml:"burst"`
}

// Base is the point that a sweep varies.
type Base struct {
	Model       string  `toml:"model"`
	Dataset     string  `toml:"dataset"`
	Rate        float64 `toml:"rate"`
	Pattern     string  `toml:"pattern"`
	Parallelism string  `toml:"parallelism"`
}

// EngineOptions are those of the command line's engine flags. Zero is the
// default, which for a model is the suite's.
type EngineOptions struct {
	DType               string         `toml:"dtype"`
	Eager               *bool          `toml:"eager"`
	MaxModelLen         int            `toml:"max_model_len"`
	MaxNumSeqs          int            `toml:"max_num_seqs"`
	MaxNumBatchedTokens int            `toml:"max_num_batched_tokens"`
	KVCacheMiB          int64          `toml:"kv_cache_mib"`
	Executor            string         `toml:"executor"`
	Args                map[string]any `toml:"args"` // vLLM EngineArgs
}

// DatasetOptions cut a dataset down for a slow machine. Points that they act on
// are marked.
type DatasetOptions struct {
	InputTokens  int `toml:"input_tokens" json:"input_tokens,omitempty"`
	OutputTokens int `toml:"output_tokens" json:"output_tokens,omitempty"`
	Requests     int `toml:"requests" json:"requests,omitempty"`
}

// BurstOptions shape patterns burst, gamma and on-off.
type BurstOptions struct {
	Size  int     `toml:"size"`
	Shape float64 `toml:"shape"`
	OnS   float64 `toml:"on_s"`
	OffS  float64 `toml:"off_s"`
}

// Load reads a built-in suite by its name, or else a file. text is what was read.
func Load(name string) (f *File, text string, err error) {
	if text, ok := builtIn(name); ok {
		f, err := Parse(name, []byte(text))
		return f, text, err
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, "", fmt.Errorf("suite %q is neither built in (%s) nor a file that can be read: %w", name, strings.Join(BuiltIns(), ", "), err)
	}
	f, err = Parse(name, data)
	return f, string(data), err
}

// maxText bounds a suite file.
const maxText = 1 << 20

// Parse reads the text of a suite file. Every problem is given with the file's
// name, the line and the key.
func Parse(name string, text []byte) (*File, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("%s: %d bytes are no suite file, at most %d", name, len(text), maxText)
	}
	f := &File{}
	decoder := toml.NewDecoder(strings.NewReader(string(text))).DisallowUnknownFields()
	if err := decoder.Decode(f); err != nil {
		return nil, syntax(name, err)
	}
	f.fillIn()
	at := lines(text)
	var errs []error
	for _, p := range f.problems() {
		place := name
		if line, ok := at.find(p.key); ok {
			place += ":" + strconv.Itoa(line)
		}
		errs = append(errs, fmt.Errorf("%s: %s: %s", place, p.key, p.what))
	}
	return f, errors.Join(errs...)
}

// syntax gives each of the decoder's errors its place.
func syntax(name string, err error) error {
	var strict *toml.StrictMissingError
	if errors.As(err, &strict) {
		var errs []error
		for i := range strict.Errors {
			e := &strict.Errors[i]
			line, _ := e.Position()
			errs = append(errs, fmt.Errorf("%s:%d: no such key %s", name, line, strings.Join(e.Key(), ".")))
		}
		return errors.Join(errs...)
	}
	var one *toml.DecodeError
	if errors.As(err, &one) {
		line, column := one.Position()
		text := strings.TrimPrefix(one.Error(), "toml: ")
		if len(one.Key()) > 0 {
			text = strings.Join(one.Key(), ".") + ": " + text
		}
		return fmt.Errorf("%s:%d:%d: %s", name, line, column, text)
	}
	return fmt.Errorf("%s: %w", name, err)
}

// defaultSampleHz is how often telemetry samples unless a suite says.
const defaultSampleHz = 10.0

func (f *File) fillIn() {
	first := func(to *string, fallback string, list []string) {
		if *to == "" && len(list) > 0 {
			*to = list[0]
		}
		if *to == "" {
			*to = fallback
		}
	}
	first(&f.Profile, ProfileQuick, nil)
	first(&f.Mode, Sweep, nil)
	first(&f.Base.Model, "gpt2", f.Models)
	first(&f.Base.Dataset, string(dataset.KindRandomShort), f.Datasets)
	first(&f.Base.Pattern, string(arrival.Poisson), f.Patterns)
	first(&f.Base.Parallelism, "tp=1", f.Parallelism)
	if f.Base.Rate == 0 && len(f.Rates) > 0 {
		f.Base.Rate = f.Rates[0]
	}
	if f.Base.Rate == 0 {
		f.Base.Rate = workload.DefaultFlags().RatePerS
	}
	if f.Repeats == 0 {
		f.Repeats = 1
	}
	if f.Requests == 0 && f.WindowS == 0 {
		f.Requests = workload.DefaultFlags().Requests
	}
	if f.Seed == 0 {
		f.Seed = 1
	}
	if f.SampleHz == nil {
		hz := defaultSampleHz
		f.SampleHz = &hz
	}
}

// over gives e where e says something, and o elsewhere.
func (e EngineOptions) over(o EngineOptions) EngineOptions {
	if e.DType == "" {
		e.DType = o.DType
	}
	if e.Executor == "" {
		e.Executor = o.Executor
	}
	if e.Eager == nil {
		e.Eager = o.Eager
	}
	for _, n := range []struct{ to, from *int }{
		{&e.MaxModelLen, &o.MaxModelLen}, {&e.MaxNumSeqs, &o.MaxNumSeqs}, {&e.MaxNumBatchedTokens, &o.MaxNumBatchedTokens},
	} {
		if *n.to == 0 {
			*n.to = *n.from
		}
	}
	if e.KVCacheMiB == 0 {
		e.KVCacheMiB = o.KVCacheMiB
	}
	args := maps.Clone(o.Args)
	if args == nil {
		args = map[string]any{}
	}
	maps.Copy(args, e.Args)
	e.Args = args
	return e
}
