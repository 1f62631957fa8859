package doctor

import (
	"errors"
	"path/filepath"
	"strings"
)

const leastDisk = 1 << 30

// diskChecks look at the folder where results go and at vLLM's cache of
// compiled code, which must also be writable. Neither needs to exist yet.
func diskChecks(h host) []Check {
	checks := []Check{diskCheck(h, "disk", h.workDir)}
	cache, err := cacheDir(h)
	if err != nil {
		return append(checks, notAvailable("cache", err))
	}
	c := diskCheck(h, "cache", cache)
	if err := h.writable(cache); err != nil {
		c.Status, c.Value, c.Detail = Fail, "not writable", err.Error()
		c.Remedy = "make the folder writable, or set VLLM_CACHE_ROOT to one that is"
	}
	return append(checks, c)
}

func diskCheck(h host, name, path string) Check {
	if path == "" {
		return notAvailable(name, errors.New("the working directory is gone"))
	}
	s, err := h.disk(path)
	if err != nil {
		return notAvailable(name, err)
	}
	c := Check{
		Name: name, Status: OK, Value: size(s.freeBytes) + " free", Detail: path,
		Facts: map[string]any{"path": path, "free_bytes": s.freeBytes, "total_bytes": s.totalBytes},
	}
	if s.freeBytes < leastDisk {
		c.Status = Fail
		c.Remedy = "free " + size(leastDisk) + " there, or work in another folder"
		if name == "cache" {
			c.Remedy = "free " + size(leastDisk) + " there, or set VLLM_CACHE_ROOT to another folder"
		}
	}
	return c
}

// cacheDir is VLLM_CACHE_ROOT, whose default follows XDG (vllm/envs.py).
func cacheDir(h host) (string, error) {
	if dir, _ := h.env("VLLM_CACHE_ROOT"); dir != "" {
		if rest, ok := strings.CutPrefix(dir, "~/"); ok && h.homeDir != "" {
			dir = filepath.Join(h.homeDir, rest)
		}
		return filepath.Abs(dir)
	}
	if dir, _ := h.env("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(dir, "vllm"), nil
	}
	if h.homeDir == "" {
		return "", errors.New("HOME is not set")
	}
	return filepath.Join(h.homeDir, ".cache", "vllm"), nil
}
