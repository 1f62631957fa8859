package suitereport

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strings"

	"stepbench/bench/analysis"
	"stepbench/bench/figure"
	"stepbench/internal/markdown"
)

var (
	//go:embed page.html
	pageText string
	//go:embed page.css
	pageStyle string
	//go:embed page.js
	pageScript string

	// Everything that came from data goes through the template, which escapes
	// it for the place it stands in.
	pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{"clean": markdown.Clean, "svg": inline}).Parse(pageText))
)

type pageView struct {
	document
	Style      template.CSS
	Script     template.JS
	ScriptHash template.HTMLAttr
}

// HTML writes the report of a as one page that needs nothing but itself. Its
// policy lets no script run but the one that is in it, by that one's hash, and
// nothing be fetched.
func HTML(w io.Writer, a *analysis.Analysis) error {
	sum := sha256.Sum256([]byte(pageScript))
	hash := base64.StdEncoding.EncodeToString(sum[:])
	v := pageView{newDocument(a), template.CSS(pageStyle), template.JS(pageScript),
		template.HTMLAttr(`content="default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-` + hash + `'"`)}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, v); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

// inline is a figure as an element of the page: without the head of a document
// of its own, and as wide as the page lets it be but neither unreadably small
// nor blown up. The figure's own text is escaped where it is drawn.
func inline(f *figure.Figure) (template.HTML, error) {
	var b bytes.Buffer
	if err := f.SVG(&b); err != nil {
		return "", err
	}
	svg := b.String()
	svg = svg[strings.Index(svg, "<svg"):]
	head, body, _ := strings.Cut(svg, ">")
	view := head[strings.Index(head, "viewBox"):]
	view = view[:strings.Index(view[len(`viewBox="`):], `"`)+len(`viewBox="`)+1]
	width := float64(f.Width())
	return template.HTML(fmt.Sprintf(`<svg role="img" aria-label="%s" style="width:%.0fpx;min-width:%.0fpx" %s xmlns="http://www.w3.org/2000/svg">%s`,
		template.HTMLEscapeString(markdown.Clean(f.Title)), 1.35*width, 0.9*width, view, body)), nil
}
