package record

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stepbench/bench/workload"
	"stepbench/bench/workload/workloadtest"
)

// few requests, for small seeds.
func few(f *workload.Flags, _ *workloadtest.Engine) { f.Requests, f.OutputTokens = 8, 4 }

// FuzzTable: whatever the bytes of a table are, reading them ends in rows or in
// an error.
func FuzzTable(f *testing.F) {
	dir := write(f, simulate(f, few), Complete, nil)
	whole := open(f, dir)
	tables := whole.Manifest.Files
	var err error
	if tables[TelemetryFile], err = writeParquet(filepath.Join(dir, TelemetryFile), telemetryRows(samples()), "hash"); err != nil {
		f.Fatal(err)
	}
	for kind, name := range []string{RequestsFile, StepsFile, TelemetryFile} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			f.Fatal(err)
		}
		rows := uint16(tables[name].Rows)
		f.Add(data, uint8(kind), rows)
		f.Add(data[:len(data)/2], uint8(kind), rows)
		f.Add(append(bytes.Clone(data[:len(data)/2]), data[len(data)*3/4:]...), uint8(kind), rows)
	}
	f.Add([]byte("PAR1\xff\xff\xff\x7fPAR1"), uint8(0), uint16(1))
	f.Fuzz(func(t *testing.T, data []byte, kind uint8, want uint16) {
		r, size, most := bytes.NewReader(data), int64(len(data)), int(want)
		var err error
		var rows int
		switch kind % 3 {
		case 0:
			var all []requestRow
			all, _, err = parseParquet[requestRow](r, size, most)
			for i := range all {
				if q, err := all[i].result(); err == nil && q.ID != all[i].ID {
					t.Fatalf("request %d is %d", all[i].ID, q.ID)
				}
			}
			rows = len(all)
		case 1:
			var all []stepRow
			all, _, err = parseParquet[stepRow](r, size, most)
			for i := range all {
				s := all[i].step()
				_ = s.Phase()
			}
			rows = len(all)
		case 2:
			var all []telemetryRow
			all, _, err = parseParquet[telemetryRow](r, size, most)
			if n := len(samplesOf(all)); n > len(all) {
				t.Fatalf("%d samples of %d rows", n, len(all))
			}
			rows = len(all)
		}
		if err == nil && rows != most || err != nil && (rows > 0 || err.Error() == "") {
			t.Fatalf("%d rows, %v", rows, err)
		}
	})
}

// FuzzManifest: a manifest beside good tables gives a record whose summary can be
// made, or an error that names it.
func FuzzManifest(f *testing.F) {
	dir := write(f, simulate(f, few), Complete, nil)
	path := filepath.Join(dir, ManifestFile)
	good, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	var whole Manifest
	if err := json.Unmarshal(good, &whole); err != nil {
		f.Fatal(err)
	}
	f.Add(string(good))
	f.Add(strings.Replace(string(good), `"complete"`, `"running"`, 1))
	f.Add(`{"schema_version":1,"state":"complete","workload":{},"engine_info":{"queued_batches":-1}}`)
	f.Add(`{"schema_version":1,"workload":{"warm_up_requests":-5,"requests":1e9},"start_monotonic_ns":-1}`)
	f.Add(`{"schema_version":1,"state":"complete","workload":null}`)
	f.Fuzz(func(t *testing.T, text string) {
		// Whoever can write a manifest can write the hashes of tables into it.
		var keys map[string]any
		if json.Unmarshal([]byte(text), &keys) == nil && keys != nil {
			keys["files"] = whole.Files
			if fixed, err := json.Marshal(keys); err == nil {
				text = string(fixed)
			}
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := Open(dir)
		if err != nil {
			if !strings.Contains(err.Error(), dir) {
				t.Fatalf("the error does not say where: %v", err)
			}
			return
		}
		r.Summary()
	})
}
