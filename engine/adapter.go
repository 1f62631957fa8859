package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"stepbench/csrc"
	"stepbench/internal/cachedir"
)

const adapterModule = "stepbench_adapter"

// adapterPath returns a folder that holds the adapter package, writing it from
// this binary if it is not there yet. The folder's name is the hash of its
// content, so that two versions never mix, and only this user can write there:
// Python will execute what it holds.
func adapterPath() (string, error) {
	sum := sha256.New()
	files := map[string][]byte{}
	root := filepath.ToSlash(filepath.Join("adapter", adapterModule))
	err := fs.WalkDir(csrc.Adapter, root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := csrc.Adapter.ReadFile(path)
		fmt.Fprintf(sum, "%s %d\n", path, len(data))
		sum.Write(data)
		files[filepath.Base(path)] = data
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read the embedded adapter: %w", err)
	}
	cache, err := cachedir.Private("")
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "adapter-"+hex.EncodeToString(sum.Sum(nil))[:16])
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	return dir, writeAdapter(cache, dir, files)
}

// writeAdapter fills a temporary folder and renames it, so that a second
// process never imports half a package.
func writeAdapter(cache, dir string, files map[string][]byte) error {
	tmp, err := os.MkdirTemp(cache, "adapter-*.tmp")
	if err != nil {
		return fmt.Errorf("write the adapter: %w", err)
	}
	defer os.RemoveAll(tmp)
	pkg := filepath.Join(tmp, adapterModule)
	if err := os.Mkdir(pkg, 0o700); err != nil {
		return fmt.Errorf("write the adapter: %w", err)
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(pkg, name), data, 0o600); err != nil {
			return fmt.Errorf("write the adapter: %w", err)
		}
	}
	if err := os.Rename(tmp, dir); err != nil {
		if _, again := os.Stat(dir); again == nil {
			return nil // another process was first
		}
		return fmt.Errorf("write the adapter: %w", err)
	}
	return nil
}
