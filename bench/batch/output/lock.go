package output

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ErrLocked: another process writes to the folder.
var ErrLocked = errors.New("another process writes there")

// lockDir takes the folder for this process until the file is closed, at the
// latest when the process ends. The file stays: removing it would let two
// processes hold two locks of the same name. On a network file system it holds
// between machines only where that has flock (NFS from Linux 2.6.12 on has).
func lockDir(dir string) (*os.File, error) {
	path := filepath.Join(dir, lockFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		holder, _ := io.ReadAll(io.LimitReader(f, 200)) // only for the message
		return nil, fmt.Errorf("%s is in use by process %s: %w", dir, strings.TrimSpace(string(holder)), ErrLocked)
	}
	host, _ := os.Hostname() // empty if it has no name
	name := strings.TrimSpace(fmt.Sprintf("%d on %s", os.Getpid(), host)) + "\n"
	if err := errors.Join(f.Truncate(0), writeAt(f, name)); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

// awaitLock is lockDir, which for as long as wait gives another process time to
// end.
func awaitLock(dir string, wait time.Duration, warn func(string)) (*os.File, error) {
	const again = 200 * time.Millisecond
	for until, said := time.Now().Add(wait), false; ; said = true {
		f, err := lockDir(dir)
		if !errors.Is(err, ErrLocked) || time.Now().After(until) {
			return f, err
		}
		if !said {
			warn(fmt.Sprintf("%v: waiting for it, at most %v", err, wait))
		}
		time.Sleep(again)
	}
}

func writeAt(f *os.File, text string) error {
	_, err := f.WriteAt([]byte(text), 0)
	return err
}
