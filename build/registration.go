package build

import (
	"slices"
	"strings"
)

// Registration is one line by which a source registers a function as an op.
type Registration struct {
	Namespace string // "_C"
	Op        string // "rotary_embedding"; with its overload, "scaled_fp4_quant.out"
	Key       string // dispatch key: "CPU", "CUDA", "CompositeImplicitAutograd"
	Function  string // as written, "cpu_utils::expand_kernel_impl"; empty for anything but a plain function
	Stable    bool   // by torch's stable ABI, which wants TORCH_BOX
	// Conditions are the preprocessor's conditionals around the line, outermost
	// first; each holds its own directives up to the line: "#if A", "#else".
	Conditions [][]string
	Line       int
}

// Name is the op as torch.ops and the profiler know it.
func (r Registration) Name() string { return r.Namespace + "::" + r.Op }

// registrations finds all of them in the text of a source. Lines of the forms
// that vLLM 0.26.0 uses are understood:
//
//	ops.impl("op", torch::kCPU, &function);
//	ops.impl("op", TORCH_BOX(&function));
//	ops.def("op(Tensor x) -> Tensor", &function);
//
// within TORCH_LIBRARY, its _EXPAND, _FRAGMENT and _IMPL forms and the STABLE_
// ones. A def with a function registers for all backends at once, which torch
// keeps under CompositeImplicitAutograd (aten/src/ATen/core/library.cpp).
func registrations(text string) []Registration {
	p := registrationParser{tokens: lex(text), macros: map[string]string{}}
	for p.at < len(p.tokens) {
		p.step()
	}
	return p.found
}

type registrationParser struct {
	tokens     []token
	at         int
	conditions [][]string
	macros     map[string]string
	block      *libraryBlock
	found      []Registration
}

// libraryBlock is the body of a TORCH_LIBRARY form.
type libraryBlock struct {
	namespace, key, variable string
	stable                   bool
	depth                    int // of braces
}

func (p *registrationParser) step() {
	t := p.tokens[p.at]
	p.at++
	switch {
	case t.kind == directive:
		p.directive(t.text)
	case p.block == nil:
		if t.kind == word && strings.Contains(t.text, "TORCH_LIBRARY") {
			p.open(t.text)
		}
	case t.kind == mark && t.text == "{":
		p.block.depth++
	case t.kind == mark && t.text == "}":
		p.block.depth--
		if p.block.depth == 0 {
			p.block = nil
		}
	case t.kind == word && t.text == p.block.variable:
		p.call(t.line)
	}
}

func (p *registrationParser) directive(text string) {
	name := strings.TrimLeft(strings.TrimPrefix(text, "#"), " \t")
	last := len(p.conditions) - 1
	switch {
	case strings.HasPrefix(name, "if"):
		p.conditions = append(p.conditions, []string{text})
	case strings.HasPrefix(name, "el") && last >= 0:
		p.conditions[last] = append(slices.Clone(p.conditions[last]), text)
	case strings.HasPrefix(name, "endif") && last >= 0:
		p.conditions = p.conditions[:last]
	case strings.HasPrefix(name, "define"):
		if fields := strings.Fields(name); len(fields) == 3 {
			p.macros[fields[1]] = fields[2]
		}
	}
}

// open reads "(namespace, key, variable) {" after the macro's name.
func (p *registrationParser) open(macro string) {
	args, ok := p.arguments()
	if !ok || p.at >= len(p.tokens) || p.tokens[p.at].text != "{" {
		return
	}
	b := libraryBlock{key: "CompositeImplicitAutograd", stable: strings.HasPrefix(macro, "STABLE_")}
	switch {
	case strings.Contains(macro, "_IMPL") && len(args) == 3:
		b.namespace, b.key, b.variable = spell(args[0]), spell(args[1]), spell(args[2])
	case len(args) == 2:
		b.namespace, b.variable = spell(args[0]), spell(args[1])
	default:
		return
	}
	if value, ok := p.macros[b.namespace]; ok {
		b.namespace = value
	}
	p.block = &b // its brace is the next token
}

// call reads ".impl(...)" or ".def(...)" after the library's variable.
func (p *registrationParser) call(line int) {
	if p.at+1 >= len(p.tokens) || p.tokens[p.at].text != "." {
		return
	}
	method := p.tokens[p.at+1].text
	if method != "impl" && method != "def" {
		return
	}
	p.at += 2
	args, ok := p.arguments()
	if !ok || len(args) < 2 {
		return
	}
	op, _, _ := strings.Cut(joined(args[0]), "(")
	r := Registration{Namespace: p.block.namespace, Op: strings.TrimSpace(op), Key: p.block.key, Stable: p.block.stable,
		Conditions: slices.Clone(p.conditions), Line: line}
	if key := dispatchKey(args[1]); key != "" {
		r.Key = key
		args = args[1:]
	}
	if len(args) == 2 {
		r.Function = function(args[1])
	}
	if r.Op != "" {
		p.found = append(p.found, r)
	}
}

// arguments reads a list in parentheses, split at its own commas.
func (p *registrationParser) arguments() ([][]token, bool) {
	if p.at >= len(p.tokens) || p.tokens[p.at].text != "(" || p.tokens[p.at].kind != mark {
		return nil, false
	}
	p.at++
	var args [][]token
	var arg []token
	depth := 1
	for ; p.at < len(p.tokens); p.at++ {
		t := p.tokens[p.at]
		if t.kind == directive {
			p.directive(t.text)
			continue
		}
		if t.kind == mark {
			switch t.text {
			case "(", "[", "{":
				depth++
			case ")", "]", "}":
				depth--
			}
			if depth == 0 {
				p.at++
				return append(args, arg), true
			}
			if t.text == "," && depth == 1 {
				args, arg = append(args, arg), nil
				continue
			}
		}
		arg = append(arg, t)
	}
	return nil, false
}

// joined is the value of adjacent string literals; empty for anything else.
func joined(arg []token) string {
	var b strings.Builder
	for _, t := range arg {
		if t.kind != literal {
			return ""
		}
		b.WriteString(t.text)
	}
	return b.String()
}

// dispatchKey understands torch::kCPU, c10::kCUDA and c10::DispatchKey::X.
func dispatchKey(arg []token) string {
	parts := strings.Split(spell(arg), "::")
	last := parts[len(parts)-1]
	if len(parts) > 1 && parts[len(parts)-2] == "DispatchKey" {
		return last
	}
	if key, ok := strings.CutPrefix(last, "k"); ok && (key == "CPU" || key == "CUDA") {
		return key
	}
	return ""
}

// function understands &f, f, ns::f and TORCH_BOX(&f).
func function(arg []token) string {
	if len(arg) > 3 && arg[0].text == "TORCH_BOX" && arg[1].text == "(" && arg[len(arg)-1].text == ")" {
		arg = arg[2 : len(arg)-1]
	}
	if len(arg) > 0 && arg[0].text == "&" {
		arg = arg[1:]
	}
	for i, t := range arg {
		separator := t.kind == mark && t.text == "::"
		if separator != (i%2 == 1) && !(i == 0 && separator) || t.kind != word && !separator {
			return ""
		}
	}
	return strings.TrimPrefix(spell(arg), "::")
}

func spell(tokens []token) string {
	var b strings.Builder
	for _, t := range tokens {
		b.WriteString(t.text)
	}
	return b.String()
}

// preamble is the text before the first registration: the includes and
// declarations that the registrations need. Conditionals open there are closed.
func preamble(text string) string {
	first, open := len(text)+1, 0
	for _, t := range lex(text) {
		if t.kind == word && strings.Contains(t.text, "TORCH_LIBRARY") {
			first = t.line
			break
		}
		if t.kind == directive {
			switch name := strings.TrimLeft(t.text[1:], " \t"); {
			case strings.HasPrefix(name, "if"):
				open++
			case strings.HasPrefix(name, "endif"):
				open--
			}
		}
	}
	lines := strings.SplitAfter(text, "\n")
	head := strings.Join(lines[:min(first-1, len(lines))], "")
	return head + strings.Repeat("#endif\n", max(open, 0))
}
