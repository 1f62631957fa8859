package dataset

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

// Detect finds out from the beginning of a file what kind it is.
func Detect(path string) (kind Kind, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	kind, err = detect(path, f)
	if err != nil {
		return "", fmt.Errorf("%s: %w: give its kind, as jsonl:%s, one of %s", path, err, path, join(fileKinds))
	}
	return kind, nil
}

func detect(path string, f *os.File) (kind Kind, err error) {
	if strings.HasSuffix(path, ".parquet") {
		for _, kind := range []Kind{KindParquet, KindC4} {
			if _, err = newParser(kind, path, f); err == nil {
				return kind, nil
			}
		}
		return "", err
	}
	text, err := uncompressed(path, f)
	if err != nil {
		return "", err
	}
	// Pretty-printed JSON begins with a short line, a whole file on one line is
	// longer than is worth reading here.
	head, err := io.ReadAll(io.LimitReader(text, maxRecordBytes))
	if err != nil {
		return "", err
	}
	head = bytes.TrimSpace(bytes.TrimPrefix(head, []byte("\ufeff")))
	first, _, _ := bytes.Cut(head, []byte("\n"))
	switch {
	case len(head) == 0:
		return "", errors.New("it is empty")
	case head[0] == '[':
		return KindShareGPT, nil
	case head[0] == '{':
		return detectObject(first)
	}
	return detectHeader(first)
}

func detectObject(line []byte) (Kind, error) {
	o, err := parseObject(line)
	switch {
	case err != nil:
		return "", fmt.Errorf("line 1: %w", err)
	case o.has("prompt") || o.has("token_ids"):
		return KindJSONL, nil
	case o.has("input_length"):
		return KindMooncake, nil
	case o.has("text"):
		return KindC4, nil
	}
	return "", fmt.Errorf("unknown fields %s", strings.ToValidUTF8(strings.Join(slices.Sorted(maps.Keys(o)), ", "), "?"))
}

func detectHeader(line []byte) (Kind, error) {
	header, err := csv.NewReader(bytes.NewReader(line)).Read()
	if err == nil {
		for kind, c := range map[Kind]traceColumns{KindAzure: azureColumns(), KindBurstGPT: burstGPTColumns()} {
			if slices.Contains(header, c.at) && slices.Contains(header, c.input) && slices.Contains(header, c.output) {
				return kind, nil
			}
		}
	}
	return "", fmt.Errorf("its first line %s is of no known kind", clip(strings.ToValidUTF8(string(line), "?")))
}
