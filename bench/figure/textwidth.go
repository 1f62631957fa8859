package figure

import (
	"fmt"
	"html"
	"regexp"
	"strconv"

	weight "golang.org/x/image/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// svgText is a text as vgsvg writes it: its attributes, weight, size and
// content.
var svgText = regexp.MustCompile(`(?s)<text ([^>]*font-weight:([a-z]+);[^>]*font-size:([0-9.]+)px[^>]*)>([^<]*)</text>`)

// fixWidths says in an SVG document how wide each text is. A viewer without our
// font takes another one, often a wider one, and texts would run into each
// other.
func fixWidths(svg []byte) []byte {
	return svgText.ReplaceAllFunc(svg, func(match []byte) []byte {
		part := svgText.FindSubmatch(match)
		size, err := strconv.ParseFloat(string(part[3]), 64)
		if err != nil || len(part[4]) == 0 {
			return match
		}
		style := heatStyle(vg.Length(size), draw.XLeft, draw.YBottom)
		if string(part[2]) == "bold" {
			style.Font.Weight = weight.WeightBold
		}
		width := style.Width(html.UnescapeString(string(part[4]))).Points()
		return fmt.Appendf(nil, `<text textLength="%.5g" lengthAdjust="spacingAndGlyphs" %s>%s</text>`, width, part[1], part[4])
	})
}
