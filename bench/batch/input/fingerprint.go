package input

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"time"
)

// Fingerprint tells whether files are those of an earlier start. It does not
// read them whole, which for a large input takes minutes; an edit that changes
// neither size, time nor ends is not seen.
type Fingerprint []File

// File is one file of a fingerprint. Standard input is only its name.
type File struct {
	Name           string `json:"name"`
	SizeBytes      int64  `json:"size_bytes,omitempty"`
	ModifiedUnixNs int64  `json:"modified_unix_ns,omitempty"`
	HeadSHA256     string `json:"head_sha256,omitempty"` // of the first endBytes
	TailSHA256     string `json:"tail_sha256,omitempty"` // of the last endBytes
}

const endBytes = 64 << 10

// TakeFingerprint expands paths and looks at each file.
func TakeFingerprint(paths []string) (Fingerprint, error) {
	paths, err := Expand(paths)
	if err != nil {
		return nil, err
	}
	out := make(Fingerprint, len(paths))
	for i, p := range paths {
		if out[i], err = fileOf(p); err != nil {
			return nil, fmt.Errorf("fingerprint: %w", err)
		}
	}
	return out, nil
}

func fileOf(path string) (File, error) {
	out := File{Name: path}
	if path == Stdin {
		return out, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return out, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return out, err
	}
	out.SizeBytes, out.ModifiedUnixNs = info.Size(), info.ModTime().UnixNano()
	if out.HeadSHA256, err = hashAt(f, 0); err != nil {
		return out, err
	}
	out.TailSHA256, err = hashAt(f, max(0, out.SizeBytes-endBytes))
	return out, err
}

func hashAt(f io.ReaderAt, offset int64) (string, error) {
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(f, offset, endBytes)); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// Differences says what is not as in f, a line each.
func (f Fingerprint) Differences(now Fingerprint) []string {
	var out []string
	for i := range max(len(f), len(now)) {
		switch {
		case i >= len(now):
			out = append(out, fmt.Sprintf("%s is no longer given", f[i].Name))
		case i >= len(f):
			out = append(out, fmt.Sprintf("%s is new", now[i].Name))
		default:
			out = append(out, f[i].differences(now[i])...)
		}
	}
	return out
}

func (f File) differences(now File) []string {
	if f.Name != now.Name {
		return []string{fmt.Sprintf("%s is now %s", f.Name, now.Name)}
	}
	var out []string
	if f.SizeBytes != now.SizeBytes {
		out = append(out, fmt.Sprintf("%s: had %d bytes, has %d", f.Name, f.SizeBytes, now.SizeBytes))
	}
	if f.HeadSHA256 != now.HeadSHA256 {
		out = append(out, fmt.Sprintf("%s: its first 64 KiB are others", f.Name))
	}
	if f.TailSHA256 != now.TailSHA256 {
		out = append(out, fmt.Sprintf("%s: its last 64 KiB are others", f.Name))
	}
	if f.ModifiedUnixNs != now.ModifiedUnixNs {
		at := func(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339Nano) }
		out = append(out, fmt.Sprintf("%s: was modified %s, now %s", f.Name, at(f.ModifiedUnixNs), at(now.ModifiedUnixNs)))
	}
	return out
}

// SameContent says that both are of the same content, wherever the files lie
// and whenever they were copied there.
func (f Fingerprint) SameContent(g Fingerprint) bool {
	if len(f) != len(g) {
		return false
	}
	for i := range f {
		if f[i].SizeBytes != g[i].SizeBytes || f[i].HeadSHA256 != g[i].HeadSHA256 || f[i].TailSHA256 != g[i].TailSHA256 {
			return false
		}
	}
	return true
}
