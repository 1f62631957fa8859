package figure

import (
	"bytes"
	"image/color"
	"io"
	"strings"
	"unicode"

	weight "golang.org/x/image/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Figure is a drawing under a fixed name. The other files of the package make
// one from plain numbers.
type Figure struct {
	Stem    string // of its files
	Title   string
	notes   []string
	key     []keyEntry
	panels  []panel
	columns int // panels in a row
}

// panel is one pair of axes; all panels of a figure are equally wide.
type panel struct {
	width, height vg.Length
	draw          func(draw.Canvas)
}

// keyEntry explains one kind of mark.
type keyEntry struct {
	text   string
	sample func(draw.Canvas, vg.Rectangle)
}

// Sizes, in points of 1/72 inch.
const (
	sheetMargin = 10
	keyLine     = 15
	keySample   = 18 // width of a sample
	minWidth    = 460
)

// PNG writes the figure as an image of 144 dots per inch.
func (f *Figure) PNG(w io.Writer) error {
	l := f.layout()
	c := vgimg.NewWith(vgimg.UseWH(l.width, l.height), vgimg.UseDPI(heatDPI))
	f.draw(draw.New(c), l)
	_, err := vgimg.PngCanvas{Canvas: c}.WriteTo(w)
	return err
}

// SVG writes the figure as scalable graphics.
func (f *Figure) SVG(w io.Writer) error {
	l := f.layout()
	c := vgsvg.New(l.width, l.height)
	f.draw(draw.New(c), l)
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return err
	}
	_, err := w.Write(fixWidths(b.Bytes()))
	return err
}

// Width of the figure in points.
func (f *Figure) Width() vg.Length { return f.layout().width }

type sheetLayout struct {
	width, height vg.Length
	title, notes  []string
	keyLines      [][]keyEntry
}

func (f *Figure) layout() sheetLayout {
	columns := max(1, min(f.columns, len(f.panels)))
	l := sheetLayout{width: minWidth}
	if len(f.panels) > 0 {
		l.width = max(l.width, vg.Length(columns)*f.panels[0].width)
	}
	inside := l.width - 2*sheetMargin
	l.title = wrap(titleStyle(), f.Title, inside)
	for _, n := range f.notes {
		l.notes = append(l.notes, wrap(noteStyle(), n, inside)...)
	}
	l.keyLines = f.flowKey(inside)
	l.height = 12 + 17*vg.Length(len(l.title)) + keyLine*vg.Length(len(l.keyLines)) + heatNote*vg.Length(len(l.notes)) + 10
	for i := range f.panels {
		if i%columns == 0 {
			l.height += f.rowHeight(i)
		}
	}
	return l
}

// rowHeight is that of the row of panels to which panel i belongs.
func (f *Figure) rowHeight(i int) (height vg.Length) {
	columns := max(1, f.columns)
	first := i - i%columns
	for _, p := range f.panels[first:min(len(f.panels), first+columns)] {
		height = max(height, p.height)
	}
	return height
}

// flowKey breaks the key into lines of the given width.
func (f *Figure) flowKey(width vg.Length) [][]keyEntry {
	var lines [][]keyEntry
	var used vg.Length
	for _, k := range f.key {
		w := k.width()
		if len(lines) == 0 || used+w > width {
			lines = append(lines, nil)
			used = 0
		}
		lines[len(lines)-1] = append(lines[len(lines)-1], k)
		used += w
	}
	return lines
}

func (k keyEntry) width() vg.Length { return keySample + 4 + noteStyle().Width(k.text) + 14 }

func (f *Figure) draw(c draw.Canvas, l sheetLayout) {
	fill(c, c.Rectangle, color.White)
	y := c.Max.Y - 6
	for _, line := range l.title {
		c.FillText(titleStyle(), vg.Point{X: c.Min.X + sheetMargin, Y: y - 9}, line)
		y -= 17
	}
	for _, line := range l.keyLines {
		x := c.Min.X + sheetMargin
		for _, k := range line {
			k.sample(c, vg.Rectangle{Min: vg.Point{X: x, Y: y - 12}, Max: vg.Point{X: x + keySample, Y: y - 3}})
			c.FillText(noteStyle(), vg.Point{X: x + keySample + 4, Y: y - 7.5}, k.text)
			x += k.width()
		}
		y -= keyLine
	}
	y -= 4
	columns := max(1, min(f.columns, len(f.panels)))
	for i, p := range f.panels {
		x := c.Min.X + vg.Length(i%columns)*p.width
		p.draw(draw.Canvas{Canvas: c.Canvas, Rectangle: vg.Rectangle{
			Min: vg.Point{X: x, Y: y - p.height}, Max: vg.Point{X: x + p.width, Y: y},
		}})
		if i%columns == columns-1 || i == len(f.panels)-1 {
			y -= f.rowHeight(i)
		}
	}
	for i, line := range l.notes {
		c.FillText(noteStyle(), vg.Point{X: c.Min.X + sheetMargin, Y: y - heatNote*vg.Length(i) - heatNote/2}, line)
	}
}

func titleStyle() draw.TextStyle {
	s := heatStyle(13, draw.XLeft, draw.YCenter)
	s.Font.Weight = weight.WeightBold
	return s
}

func noteStyle() draw.TextStyle { return heatStyle(8, draw.XLeft, draw.YCenter) }

// clean takes line breaks and what acts on the direction of writing out of a
// text: names come from data.
func clean(s string) string {
	return strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && !unicode.IsSpace(r) || unicode.Is(unicode.Bidi_Control, r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))), " ")
}

// wrap breaks text at spaces so that no line is wider than width, but for one
// word that is.
func wrap(style draw.TextStyle, text string, width vg.Length) []string {
	var lines []string
	for _, word := range strings.Fields(clean(text)) {
		if n := len(lines); n > 0 && style.Width(lines[n-1]+" "+word) <= width {
			lines[n-1] += " " + word
			continue
		}
		lines = append(lines, word)
	}
	return lines
}
