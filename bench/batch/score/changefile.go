package score

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"strconv"
)

// NewChangeJSONL gives a CompareOptions.Changed that writes a JSON object a line.
func NewChangeJSONL(w io.Writer) func(*Change) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return func(c *Change) error { return e.Encode(c) }
}

// NewChangeCSV gives a CompareOptions.Changed that writes CSV (RFC 4180), a line
// for each score that differs, or one if none does. flush must be called at the
// end. Texts are as the model wrote them: a spreadsheet may take one that starts
// with = for a formula.
func NewChangeCSV(w io.Writer) (add func(*Change) error, flush func() error) {
	out := csv.NewWriter(w)
	head := []string{
		"id", "index_a", "index_b", "group", "text_differs", "choice", "first_token",
		"metric", "score_a", "score_b", "failure_a", "failure_b", "text_a", "text_b",
	}
	// An error stays with the writer: the first Write after it, or flush, tells.
	err := out.Write(head)
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
	add = func(c *Change) error {
		if err != nil {
			return err
		}
		first := ""
		if c.FirstToken != nil {
			first = strconv.Itoa(*c.FirstToken)
		}
		row := []string{
			c.ID, strconv.FormatInt(c.IndexA, 10), strconv.FormatInt(c.IndexB, 10), c.Group,
			strconv.FormatBool(c.TextDiffers), strconv.Itoa(c.Choice), first,
			"", "", "", "", "", c.TextA, c.TextB,
		}
		if c.FailureA != nil {
			row[10] = c.FailureA.Code
		}
		if c.FailureB != nil {
			row[11] = c.FailureB.Code
		}
		if len(c.Scores) == 0 {
			return out.Write(row)
		}
		for _, name := range c.scoreNames() {
			row[7], row[8], row[9] = name, number(c.Scores[name].A), number(c.Scores[name].B)
			if err := out.Write(row); err != nil {
				return err
			}
		}
		return nil
	}
	return add, func() error {
		out.Flush()
		return out.Error()
	}
}
