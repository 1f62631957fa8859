package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"stepbench/bench/batch/input"
	"stepbench/bench/batch/output"
	"stepbench/engine"
	"stepbench/internal/atomicfile"
)

// batchEngine is what decides outputs and is known before an engine is open.
// Nothing of it is of one host: shards of several are merged.
type batchEngine struct {
	ConfigSHA256  string            `json:"config_sha256,omitempty"`
	WeightsSHA256 string            `json:"weights_sha256,omitempty"` // of the files' names, sizes and ends
	DType         string            `json:"dtype,omitempty"`
	MaxModelLen   int               `json:"max_model_len,omitempty"`
	Args          map[string]any    `json:"args,omitempty"`
	Variant       string            `json:"variant,omitempty"`
	VariantSHA256 []string          `json:"variant_sha256,omitempty"`
	ChatTemplate  string            `json:"chat_template_sha256,omitempty"`
	Metrics       []string          `json:"metrics,omitempty"`
	Columns       map[string]string `json:"columns,omitempty"`
	N             int               `json:"n"`
}

// manifest is batch.json at the start.
func (job *batchJob) manifest(cfg engine.Config) (output.Manifest, error) {
	m := output.Manifest{
		Command: os.Args, Format: job.output, Ordered: job.ordered, PartRows: job.partRows,
		Sampling: job.input.Sampling, Model: cfg.Model.Name,
	}
	if strings.ContainsRune(m.Model, filepath.Separator) && cfg.Model.ConfigSHA256 != "" {
		m.Model = filepath.Base(m.Model) // the folder's place is a host's own
	}
	if job.shard.Count > 1 {
		m.Shard = &output.Shard{Index: job.shard.Index, Count: job.shard.Count}
	}
	var err error
	if m.Input, err = input.TakeFingerprint(job.paths); err != nil {
		return m, err
	}
	e := batchEngine{
		ConfigSHA256: cfg.Model.ConfigSHA256, DType: cfg.DType, MaxModelLen: cfg.MaxModelLen,
		Args: maps.Clone(cfg.Extra), Metrics: job.specs, Columns: job.columns(), N: job.input.N,
	}
	delete(e.Args, asyncScheduling) // of the device, and without influence
	if e.WeightsSHA256, err = weightsHash(cfg.Model.Path); err != nil {
		return m, err
	}
	if v := cfg.Variant; v != nil {
		e.Variant = v.Name
		e.VariantSHA256 = slices.Sorted(maps.Values(v.SHA256))
	}
	if job.template != "" {
		e.ChatTemplate = hashOf([]byte(job.template))
	}
	m.Engine, err = json.Marshal(e)
	return m, err
}

// columns are those that the user named.
func (job *batchJob) columns() map[string]string {
	o := job.input
	all := map[string]string{
		"format": string(o.Format), "prompt": o.PromptColumn, "messages": o.MessagesColumn, "tokens": o.TokensColumn, "id": o.IDColumn,
		"reference": o.ReferenceColumn, "options": o.OptionsColumn, "answer": o.AnswerColumn, "group": o.GroupColumn,
	}
	maps.DeleteFunc(all, func(_, column string) bool { return column == "" })
	return all
}

func hashOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// weightsHash tells weights apart without reading them all; empty for hub names.
func weightsHash(folder string) (string, error) {
	var files []string
	for _, pattern := range []string{"*.safetensors", "*.bin", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"} {
		found, err := filepath.Glob(filepath.Join(folder, pattern))
		if err != nil {
			return "", err
		}
		files = append(files, found...)
	}
	if len(files) == 0 {
		return "", nil
	}
	prints, err := input.TakeFingerprint(files)
	if err != nil {
		return "", err
	}
	for i := range prints {
		prints[i].Name, prints[i].ModifiedUnixNs = filepath.Base(prints[i].Name), 0
	}
	text, err := json.Marshal(prints)
	return hashOf(text), err
}

// earlier looks at what out holds: nothing, or a run to go on with and, if it
// was complete, the rows of its input.
func earlier(out string) (resumed bool, rows int64, err error) {
	if output.Exists(out) {
		m, err := output.ReadManifest(out)
		if err == nil && m.State == output.Complete {
			rows = m.Counts.InputRows
		}
		return true, rows, err
	}
	entries, err := os.ReadDir(out)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return false, 0, nil
	case err != nil:
		return false, 0, fmt.Errorf("output directory: %w", err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") { // a lock of a start that got no further
			return false, 0, fmt.Errorf("output directory %s holds %s and is no output of a batch: give a new or empty one", out, e.Name())
		}
	}
	return false, 0, nil
}

// engineFile describes the open engine, in the output directory.
const engineFile = "engine.json"

// sameEngine keeps what info says, and refuses an engine that would answer
// otherwise than the one of an earlier start.
func sameEngine(out string, info engine.Info) error {
	path := filepath.Join(out, engineFile)
	text, err := os.ReadFile(path)
	if err == nil {
		var was engine.Info
		if err := json.Unmarshal(text, &was); err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		var differ []string
		add := func(what string, before, now any) {
			if before != now {
				differ = append(differ, fmt.Sprintf("%s: was %v, is %v", what, before, now))
			}
		}
		add("vLLM", was.VLLMVersion, info.VLLMVersion)
		add("dtype", was.DType, info.DType)
		add("attention backend", was.AttentionBackend, info.AttentionBackend)
		add("max_model_len", was.MaxModelLen, info.MaxModelLen)
		add("platform", was.Platform, info.Platform)
		if len(differ) > 0 {
			return fmt.Errorf("cannot go on with %s: its engine was another; give another output directory, or restore it:\n  %s", out, strings.Join(differ, "\n  "))
		}
		return nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if text, err = json.MarshalIndent(info, "", "  "); err != nil {
		return err
	}
	return atomicfile.WriteBytes(path, append(text, '\n'))
}
