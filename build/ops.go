package build

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// expectOps generates the registration of the ops that the units' text lets
// expect, so that it compiles at the same time as they do. register corrects it.
func (p *project) expectOps() error {
	for _, mod := range p.modules {
		b, all, err := p.bindings(mod)
		if err != nil {
			return err
		}
		for _, u := range mod.affected {
			text, err := os.ReadFile(filepath.Join(p.tree.Dir, u.Source))
			if err != nil {
				return err
			}
			names := called(string(text))
			for _, r := range all {
				if r.Function != "" && slices.Contains(names, r.Function[strings.LastIndex(r.Function, ":")+1:]) {
					b.ops = append(b.ops, r)
				}
			}
		}
		if err := writeIfChanged(p.registration(mod.Module), registrationUnit(b)); err != nil {
			return err
		}
	}
	return nil
}

// called are the words before an opening parenthesis: functions that a text
// defines, declares or calls.
func called(text string) []string {
	var names []string
	tokens := lex(text)
	for i := 1; i < len(tokens); i++ {
		if tokens[i].kind == mark && tokens[i].text == "(" && tokens[i-1].kind == word {
			names = append(names, tokens[i-1].text)
		}
	}
	return names
}

// bindings reads what a module registers, and how.
func (p *project) bindings(mod affectedModule) (bindingsUnit, []Registration, error) {
	source := mod.bindings()
	if source == "" {
		return bindingsUnit{}, nil, refuse("module %s has no torch_bindings.cpp%s", mod.Name, full)
	}
	text, err := os.ReadFile(filepath.Join(p.tree.Dir, source))
	if err != nil {
		return bindingsUnit{}, nil, err
	}
	return bindingsUnit{source: source, text: string(text)}, registrations(string(text)), nil
}

// register finds the ops that the compiled units define and generates their
// registration. Every unit has to be of use: one that defines no op would leave
// the stock code in place wherever it is called from.
func (p *project) register(ctx context.Context, m *Manifest) error {
	objects, err := p.objects()
	if err != nil {
		return err
	}
	for _, mod := range p.modules {
		b, all, err := p.bindings(mod)
		if err != nil {
			return err
		}
		for _, u := range mod.affected {
			defined, err := p.k.functions(ctx, objects[u.Source])
			if err != nil {
				return err
			}
			own, err := p.ownRegistrations(u)
			if err != nil {
				return err
			}
			ops := opsOf(all, defined)
			if len(ops) == 0 && len(own) == 0 {
				return refuse("%s defines no op that vLLM registers, so an override of ops cannot replace what calls it%s", u.Source, full)
			}
			b.ops = append(b.ops, ops...)
			m.Ops = append(m.Ops, opNames(own)...)
		}
		p.registered = append(p.registered, b.ops...)
		m.Counted = append(m.Counted, opNames(b.ops)...)
		if err := writeIfChanged(p.registration(mod.Module), registrationUnit(b)); err != nil {
			return err
		}
	}
	m.Ops = sorted(append(m.Ops, m.Counted...))
	m.Counted = sorted(m.Counted)
	return nil
}

// sorted gives each value once.
func sorted(values []string) []string {
	slices.Sort(values)
	return slices.Compact(values)
}

// ownRegistrations are those within a unit, which register when the library is
// loaded, as they do in vLLM's own.
func (p *project) ownRegistrations(u Unit) ([]Registration, error) {
	text, err := os.ReadFile(filepath.Join(p.tree.Dir, u.Source))
	if err != nil {
		return nil, err
	}
	return registrations(string(text)), nil
}

var (
	missingHeader = regexp.MustCompile(`(?m)^(\S+?):\d+:\d+: fatal error: (\S+): No such file`)
	undefined     = regexp.MustCompile("undefined reference to `([^']+)'")
)

// explain turns failures that no change of the kernel's source can mend into
// refusals with the way out.
func (k *kit) explain(err error) error {
	var failure *CompileError
	if !errors.As(err, &failure) {
		return err
	}
	if m := missingHeader.FindStringSubmatch(failure.Output); m != nil && !strings.HasPrefix(m[2], ".") {
		return absent(m[1], m[2])
	}
	if failure.Phase == "link" {
		var names []string
		for _, m := range undefined.FindAllStringSubmatch(failure.Output, -1) {
			names = append(names, m[1])
		}
		if len(names) > 0 {
			slices.Sort(names)
			return refuse("the changed units use %s, defined in units that are not part of the change, or with another signature%s", strings.Join(slices.Compact(names), ", "), full)
		}
	}
	return err
}

// absent refuses what needs another project's headers.
func absent(file, header string) error {
	remedy := full
	if strings.HasPrefix(header, "cutlass") || strings.HasPrefix(header, "cute/") {
		remedy = ": set VLLM_CUTLASS_SRC_DIR to a checkout of CUTLASS, or build the whole module with --full"
	}
	return refuse("%s needs %s, which is not on this machine%s", file, header, remedy)
}
