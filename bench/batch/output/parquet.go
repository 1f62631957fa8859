package output

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/parquet-go/parquet-go"

	"stepbench/bench/batch"
	"stepbench/internal/parquetfile"
)

// choiceRow is a line of a Parquet file: a choice of a row, or the failure or
// the bare prompt of a row without any. What a row has once (prompt_logprobs,
// scores) is in its first line only, so that a mean over lines is one over
// rows. Logprobs are JSON: lists of {token, text, logprob, top}.
type choiceRow struct {
	Index    int64  `parquet:"index,delta" unit:"row of the input, from 0"`
	ID       string `parquet:"id" unit:"custom_id or id of the row"`
	File     string `parquet:"file,dict" unit:"input file"`
	Line     int64  `parquet:"line,delta" unit:"line or Parquet row, from 1"`
	Endpoint string `parquet:"endpoint,optional,dict" unit:"url of an OpenAI Batch row"`
	Group    string `parquet:"group,optional,dict" unit:"text"`

	Choice       int32   `parquet:"choice" unit:"from 0"`
	Text         *string `parquet:"text" unit:"text"`
	PromptTokens int32   `parquet:"prompt_tokens" unit:"tokens, of the row"`
	OutputTokens int32   `parquet:"output_tokens" unit:"tokens, of the choice"`
	CachedTokens int32   `parquet:"cached_tokens" unit:"prompt tokens served from the prefix cache"`
	Finish       string  `parquet:"finish_reason,optional,dict" unit:"stop, length or option"`

	QueueS   *float64 `parquet:"queue_s" unit:"s, until first scheduled"`
	PrefillS *float64 `parquet:"prefill_s" unit:"s, until the first token"`
	DecodeS  *float64 `parquet:"decode_s" unit:"s, until the last token"`
	E2ES     *float64 `parquet:"e2e_s" unit:"s, the three together"`

	ErrorCode    string `parquet:"error_code,optional,dict" unit:"invalid_row, too_long, refused, engine or quarantined"`
	ErrorMessage string `parquet:"error_message,optional" unit:"text"`

	Tokens         []int32            `parquet:"tokens,optional,list" unit:"token ids"`
	Logprobs       string             `parquet:"logprobs,optional" unit:"JSON, natural log"`
	PromptLogprobs string             `parquet:"prompt_logprobs,optional" unit:"JSON, natural log"`
	LogLikelihood  *float64           `parquet:"log_likelihood" unit:"natural log, of an option"`
	Scores         map[string]float64 `parquet:"scores" unit:"by metric"`
}

// groupBytes of text and tokens go to a row group: what a writer holds in
// memory, and a reader of many files a part of.
const groupBytes = 8 << 20

type parquetWriter struct {
	w    *parquet.GenericWriter[choiceRow]
	rows []choiceRow
	size int64 // of the open row group
}

func newParquetWriter(w io.Writer) (*parquetWriter, error) {
	metadata := map[string]string{"schema_version": strconv.Itoa(SchemaVersion)}
	config, err := parquetfile.Config[choiceRow](metadata, parquet.PageBufferSize(128<<10))
	if err != nil {
		return nil, err
	}
	return &parquetWriter{w: parquet.NewGenericWriter[choiceRow](w, config)}, nil
}

func (p *parquetWriter) write(r *batch.Result) error {
	var err error
	if p.rows, err = appendChoices(p.rows[:0], r); err != nil {
		return err
	}
	if _, err := p.w.Write(p.rows); err != nil {
		return err
	}
	p.size += bytesOf(r)
	if p.size < groupBytes {
		return nil
	}
	p.size = 0
	return p.w.Flush()
}

func (p *parquetWriter) close() error { return p.w.Close() }

// appendChoices adds the lines of r.
func appendChoices(to []choiceRow, r *batch.Result) ([]choiceRow, error) {
	row := choiceRow{
		Index: r.Index, ID: r.ID, File: r.Place.File, Line: r.Place.Line, Endpoint: r.Endpoint, Group: r.Group,
		PromptTokens: r.PromptTokens, CachedTokens: r.CachedTokens, Scores: r.Scores,
	}
	var err error
	if row.PromptLogprobs, err = logprobsJSON(r.PromptLogprobs); err != nil {
		return nil, err
	}
	if r.Failure != nil {
		row.ErrorCode, row.ErrorMessage = r.Failure.Code, r.Failure.Message
	}
	if len(r.Choices) == 0 {
		return append(to, row), nil
	}
	for i := range r.Choices {
		c := &r.Choices[i]
		row.Choice = int32(i)
		row.Text, row.Tokens, row.OutputTokens, row.Finish = &c.Text, c.Tokens, c.OutputTokens, c.Finish
		row.QueueS, row.PrefillS, row.DecodeS, row.E2ES = &c.QueueS, &c.PrefillS, &c.DecodeS, &c.E2ES
		if row.LogLikelihood = nil; c.LogLikelihood != 0 {
			row.LogLikelihood = &c.LogLikelihood
		}
		if row.Logprobs, err = logprobsJSON(c.Logprobs); err != nil {
			return nil, err
		}
		to = append(to, row)
		row.PromptLogprobs, row.Scores = "", nil
	}
	return to, nil
}

func logprobsJSON(list []batch.TokenLogprob) (string, error) {
	if len(list) == 0 {
		return "", nil
	}
	text, err := json.Marshal(list)
	return string(text), err
}

// parquetReader puts the lines of a row together again.
type parquetReader struct {
	f      *os.File
	r      *parquet.GenericReader[choiceRow]
	buffer []choiceRow
	rows   []choiceRow // of buffer, not used yet
	ended  bool
}

func newParquetReader(f *os.File) (r *parquetReader, err error) {
	defer recoverParquet(&err)
	file, err := openParquet(f)
	if err != nil {
		return nil, err
	}
	return &parquetReader{f: f, r: parquet.NewGenericReader[choiceRow](file), buffer: make([]choiceRow, 64)}, nil
}

func openParquet(f *os.File) (*parquet.File, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	file, err := parquetfile.Open(f, info.Size(), parquet.ReadBufferSize(64<<10))
	if err != nil {
		return nil, err
	}
	if version, _ := file.Lookup("schema_version"); version != strconv.Itoa(SchemaVersion) {
		return nil, fmt.Errorf("schema version %q, this program reads %d", version, SchemaVersion)
	}
	return file, nil
}

// recoverParquet turns a panic into an error: parquet-go trusts its input, and
// a damaged file can crash it.
func recoverParquet(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("it is damaged: %v", p)
	}
}

func (p *parquetReader) fill() error {
	if len(p.rows) > 0 {
		return nil
	}
	if p.ended {
		return io.EOF
	}
	clear(p.buffer) // slices of rows that were given are not ours to write to
	n, err := p.r.Read(p.buffer)
	p.rows = p.buffer[:n]
	p.ended = errors.Is(err, io.EOF)
	if err != nil && !p.ended {
		return err
	}
	if n == 0 && !p.ended {
		return errors.New("it is damaged: its rows end before their number says")
	}
	if n == 0 {
		return io.EOF
	}
	return nil
}

func (p *parquetReader) next() (result *batch.Result, err error) {
	defer recoverParquet(&err)
	for {
		if err := p.fill(); err != nil {
			if err == io.EOF && result != nil {
				return result, nil
			}
			return nil, err
		}
		c := &p.rows[0]
		if result != nil && (c.Index != result.Index || c.Choice == 0) {
			return result, nil
		}
		if result == nil {
			if result, err = c.begin(); err != nil {
				return nil, err
			}
		}
		if err := c.addTo(result); err != nil {
			return nil, err
		}
		p.rows = p.rows[1:]
	}
}

// begin makes a result of what its first line says once.
func (c *choiceRow) begin() (*batch.Result, error) {
	r := &batch.Result{
		Index: c.Index, Place: batch.Place{File: c.File, Line: c.Line}, ID: c.ID, Endpoint: c.Endpoint, Group: c.Group,
		PromptTokens: c.PromptTokens, CachedTokens: c.CachedTokens,
	}
	if len(c.Scores) > 0 {
		r.Scores = c.Scores
	}
	if c.ErrorCode != "" || c.ErrorMessage != "" {
		r.Failure = &batch.Failure{Code: c.ErrorCode, Message: c.ErrorMessage}
	}
	return r, parseLogprobs(c.Index, c.PromptLogprobs, &r.PromptLogprobs)
}

// addTo adds the line's choice, if it has one.
func (c *choiceRow) addTo(r *batch.Result) error {
	if c.Text == nil {
		return nil
	}
	out := batch.Choice{Text: *c.Text, Tokens: c.Tokens, OutputTokens: c.OutputTokens, Finish: c.Finish,
		QueueS: valueOf(c.QueueS), PrefillS: valueOf(c.PrefillS), DecodeS: valueOf(c.DecodeS), E2ES: valueOf(c.E2ES),
		LogLikelihood: valueOf(c.LogLikelihood)}
	if len(out.Tokens) == 0 {
		out.Tokens = nil
	}
	err := parseLogprobs(c.Index, c.Logprobs, &out.Logprobs)
	r.Choices = append(r.Choices, out)
	return err
}

func valueOf(p *float64) float64 {
	if p == nil {
		return 0
	}
	return *p
}

func parseLogprobs(row int64, text string, to *[]batch.TokenLogprob) error {
	if text == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(text), to); err != nil {
		return fmt.Errorf("it is damaged: logprobs of row %d: %w", row, err)
	}
	return nil
}

func (p *parquetReader) close() {
	_ = p.r.Close() // only read
	_ = p.f.Close()
}
