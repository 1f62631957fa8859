package doctor

import (
	"errors"
	"strings"
	"testing"
)

func TestDisk(t *testing.T) {
	refused := errors.New("/data: read-only file system")
	tests := []struct {
		name     string
		env      map[string]string
		home     string
		free     map[string]uint64 // other paths cannot be asked
		writable error
		disk     Status
		cache    Status
		value    string // of the cache
		path     string
	}{
		{"default", nil, "/home/u", map[string]uint64{"/srv/work": 5 << 30, "/home/u/.cache/vllm": 6 << 30}, nil, OK, OK, "6.0 GiB free", "/home/u/.cache/vllm"},
		{"full", nil, "/home/u", map[string]uint64{"/srv/work": 1<<30 - 1, "/home/u/.cache/vllm": 1 << 20}, nil, Fail, Fail, "1 MiB free", "/home/u/.cache/vllm"},
		{"xdg", map[string]string{"XDG_CACHE_HOME": "/x"}, "/home/u", map[string]uint64{"/x/vllm": 6 << 30}, nil, Absent, OK, "6.0 GiB free", "/x/vllm"},
		{"vllm", map[string]string{"XDG_CACHE_HOME": "/x", "VLLM_CACHE_ROOT": "/v"}, "/home/u", map[string]uint64{"/v": 6 << 30}, nil, Absent, OK, "6.0 GiB free", "/v"},
		{"tilde", map[string]string{"VLLM_CACHE_ROOT": "~/v"}, "/home/u", map[string]uint64{"/home/u/v": 6 << 30}, nil, Absent, OK, "6.0 GiB free", "/home/u/v"},
		{"read-only", nil, "/home/u", map[string]uint64{"/home/u/.cache/vllm": 6 << 30}, refused, Absent, Fail, "not writable", "read-only"},
		{"no home", nil, "", nil, nil, Absent, Absent, NotAvailable, "HOME is not set"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := emptyHost()
			h.env, h.homeDir, h.workDir = env(tt.env), tt.home, "/srv/work"
			h.writable = func(string) error { return tt.writable }
			h.disk = func(path string) (space, error) {
				free, ok := tt.free[path]
				if !ok {
					return space{}, errors.New("gone")
				}
				return space{free, 100 << 30}, nil
			}
			checks := diskChecks(h)
			if checks[0].Status != tt.disk {
				t.Errorf("disk: %+v, want %s", checks[0], tt.disk)
			}
			c := checks[1]
			if c.Status != tt.cache || c.Value != tt.value || !strings.Contains(c.Detail, tt.path) {
				t.Errorf("cache: %+v, want %s, %s, %s", c, tt.cache, tt.value, tt.path)
			}
			for _, c := range checks {
				if (c.Status == Fail) != (c.Remedy != "") {
					t.Errorf("%s: remedy %q for status %s", c.Name, c.Remedy, c.Status)
				}
			}
		})
	}
}

func TestDeletedWorkingDirectory(t *testing.T) {
	if c := diskCheck(emptyHost(), "disk", ""); c.Status != Absent || c.Value != NotAvailable {
		t.Errorf("got %+v", c)
	}
}
