// Package cachedir finds the folder of what outlives a run: code that Python,
// compilers and CMake execute, and model folders.
package cachedir

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Private is a folder of that name in this user's cache or, where there is no
// HOME, below the temporary folder; it is made if it is missing. One that
// another user owns or can write to is refused: he could put his code there.
func Private(name string) (string, error) {
	root := filepath.Join(os.TempDir(), fmt.Sprintf("stepbench-%d", os.Getuid()))
	if cache, err := os.UserCacheDir(); err == nil {
		root = filepath.Join(cache, "stepbench")
	}
	dir := filepath.Join(root, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make cache folder: %w: set XDG_CACHE_HOME to a writable folder", err)
	}
	for _, d := range []string{root, dir} {
		if err := checkOwner(d); err != nil {
			return "", err
		}
	}
	return dir, nil
}

func checkOwner(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || int(stat.Uid) != os.Getuid() || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("cache folder %s is not this user's alone: remove it or set XDG_CACHE_HOME", dir)
	}
	return nil
}
