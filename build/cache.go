package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"stepbench/csrc"
	"stepbench/internal/cachedir"
)

// cacheDir keeps what outlives one build: precompiled headers, objects,
// dependency scans.
func cacheDir() (string, error) {
	dir, err := cachedir.Private("build")
	if err != nil {
		return "", &ToolError{err}
	}
	return dir, nil
}

// unused is how long a folder of the cache may lie idle: a precompiled header
// alone has 700 MB.
const unused = 14 * 24 * time.Hour

// prune removes what earlier versions, compilers and trees have left. Failures
// do not matter: the next build tries again.
func prune(cache string, now time.Time) {
	entries, _ := os.ReadDir(cache)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && now.Sub(info.ModTime()) > unused {
			os.RemoveAll(filepath.Join(cache, e.Name()))
		}
	}
}

// use marks a folder as one to keep.
func use(dir string) { now := time.Now(); os.Chtimes(dir, now, now) }

// projectDir writes csrc/override, which this binary carries, into the cache,
// in a folder named by its content.
func projectDir(cache string) (string, error) {
	sum := sha256.New()
	files := map[string][]byte{}
	err := fs.WalkDir(csrc.Override, "override", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := csrc.Override.ReadFile(path)
		fmt.Fprintf(sum, "%s %d\n", path, len(text))
		sum.Write(text)
		files[filepath.Base(path)] = text
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read the embedded build files: %w", err)
	}
	dir := filepath.Join(cache, "override-"+hex.EncodeToString(sum.Sum(nil))[:16])
	if _, err := os.Stat(dir); err == nil {
		use(dir)
		return dir, nil
	}
	tmp, err := os.MkdirTemp(cache, "override-*.tmp")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(tmp, name), text, 0o600); err != nil {
			return "", err
		}
	}
	if err := os.Rename(tmp, dir); err != nil {
		if _, again := os.Stat(dir); again == nil {
			return dir, nil // another process was first
		}
		return "", err
	}
	return dir, nil
}

// lock keeps two builds out of one folder. It waits, saying so once, and holds
// until the returned function is called or the process ends.
func lock(ctx context.Context, dir string, log func(string)) (func(), error) {
	f, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	use(dir)
	for waited := false; ; waited = true {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			break
		}
		if !waited {
			log("waiting for another build in " + dir)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, context.Cause(ctx)
		case <-time.After(200 * time.Millisecond):
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return func() { f.Close() }, nil
}
