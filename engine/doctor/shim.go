package doctor

import (
	"errors"
	"fmt"
	"strings"

	"stepbench/bridge"
)

// shim is the loaded shim, as far as the checks need it.
type shim struct {
	path        string
	buildPython string
	buildPrefix string
	check       func(bridge.Python) error
}

// shimCheck: loading compares the ABI in both directions.
func (in interpreter) shimCheck() Check {
	c := Check{Name: "shim", Status: Fail, Value: "not loaded", Remedy: "run make build, or name one with --shim"}
	if in.shimErr != nil {
		c.Detail = in.shimErr.Error()
		return c
	}
	s := in.shim
	c.Value, c.Detail = "ABI matches", fmt.Sprintf("%s, for Python %s", s.path, s.buildPython)
	c.Facts = map[string]any{"path": s.path, "build_python": s.buildPython, "build_prefix": s.buildPrefix}
	if in.known == nil { // else the python row says what is wrong
		if err := s.check(in.python); err != nil {
			c.Value, c.Detail, c.Remedy = "of another Python", err.Error(), "run make build"
			return c
		}
	}
	c.Status, c.Remedy = OK, ""
	return c
}

// libpythonCheck reads which file the shim brought into this process.
func (in interpreter) libpythonCheck(h host) Check {
	const name = "libpython"
	if in.shimErr != nil {
		return notAvailable(name, errors.New("no shim that would load it"))
	}
	maps, err := text(h.proc, "self/maps")
	if err != nil {
		return notAvailable(name, err)
	}
	for line := range strings.Lines(maps) {
		if at := strings.Index(line, "/"); at > 0 && strings.Contains(line, "/libpython") {
			path := strings.TrimSpace(line[at:])
			return Check{Name: name, Status: OK, Value: "loaded", Detail: path, Facts: map[string]any{"path": path}}
		}
	}
	return notAvailable(name, errors.New("the shim did not load it as a library of its own"))
}

func loadShim(explicit string) (shim, error) {
	path, err := bridge.FindShim(explicit)
	if err != nil {
		return shim{}, err
	}
	lib, err := bridge.Load(path)
	if err != nil {
		return shim{}, err
	}
	return shim{lib.Path, lib.BuildPython, lib.BuildPrefix, lib.CheckPython}, nil
}
