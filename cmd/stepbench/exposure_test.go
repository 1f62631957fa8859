package main

import (
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// exposed says what of these processes other users of the machine can reach: sockets
// that listen, and what they have open below the folders that all users share.
func exposed(t *testing.T, pids ...int) (found []string) {
	t.Helper()
	add := func(format string, args ...any) {
		if text := fmt.Sprintf(format, args...); !slices.Contains(found, text) {
			found = append(found, text)
		}
	}
	for _, pid := range pids {
		dir := filepath.Join("/proc", strconv.Itoa(pid))
		sockets := map[string]bool{}
		links, _ := filepath.Glob(filepath.Join(dir, "fd", "*"))
		for _, link := range links {
			to, err := os.Readlink(link)
			if err != nil {
				continue // it was closed
			}
			if inode, ok := strings.CutPrefix(to, "socket:["); ok {
				sockets[strings.TrimSuffix(inode, "]")] = true
			}
			shared := strings.HasPrefix(to, "/dev/shm/") || strings.HasPrefix(to, os.TempDir()+"/")
			if shared && reachable(strings.TrimSuffix(to, " (deleted)"), 0o006) {
				add("file %s", to)
			}
		}
		for _, line := range rowsOf(dir, "net/tcp", "net/tcp6") {
			const local, state, inode, listening = 1, 3, 9, "0A"
			if len(line) > inode && line[state] == listening && sockets[line[inode]] {
				add("TCP %s", address(line[local]))
			}
		}
		for _, line := range rowsOf(dir, "net/unix") {
			const flags, inode, path, listening = 3, 6, 7, "00010000"
			if len(line) > path && line[flags] == listening && sockets[line[inode]] && (line[path][0] == '@' || reachable(line[path], 0o002)) {
				add("socket %s", line[path])
			}
		}
	}
	return found
}

// rowsOf are the lines of files, without heads, by fields.
func rowsOf(dir string, names ...string) (all [][]string) {
	for _, name := range names {
		text, _ := os.ReadFile(filepath.Join(dir, name))
		for i, line := range strings.Split(string(text), "\n") {
			if i > 0 && line != "" {
				all = append(all, strings.Fields(line))
			}
		}
	}
	return all
}

// address is that of /proc/net/tcp: words of the machine's byte order, and a port.
func address(text string) string {
	host, port, _ := strings.Cut(text, ":")
	ip, _ := hex.DecodeString(host)
	for i := 0; i+4 <= len(ip); i += 4 {
		slices.Reverse(ip[i : i+4])
	}
	number, _ := strconv.ParseUint(port, 16, 16)
	return net.JoinHostPort(net.IP(ip).String(), strconv.FormatUint(number, 10))
}

// reachable says that others may use the file, and that no folder above keeps them out.
func reachable(path string, bits os.FileMode) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Perm()&bits == 0 {
		return false
	}
	for dir := filepath.Dir(path); dir != "/"; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm()&0o001 == 0 {
			return false
		}
	}
	return true
}

// TestExposed: what the other tests rely on finds what there is, and nothing else.
func TestExposed(t *testing.T) {
	dir, err := os.MkdirTemp("", "stepbench-test-") // unlike t.TempDir, directly below the shared folder
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	before := exposed(t, os.Getpid())
	private, err := os.OpenFile(filepath.Join(dir, "private"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer private.Close()
	hidden, err := net.Listen("unix", filepath.Join(dir, "hidden"))
	if err != nil {
		t.Fatal(err)
	}
	defer hidden.Close()
	if got := exposed(t, os.Getpid()); len(got) != len(before) {
		t.Errorf("private things are exposed: %q", got)
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	open, err := os.OpenFile(filepath.Join(dir, "open"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	if err := os.Chmod(open.Name(), 0o644); err != nil { // whatever the umask
		t.Fatal(err)
	}
	port, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer port.Close()
	abstract, err := net.Listen("unix", "@"+filepath.Base(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer abstract.Close()
	got := exposed(t, os.Getpid())
	for _, want := range []string{"TCP " + port.Addr().String(), "socket @" + filepath.Base(dir), "file " + open.Name()} {
		if !slices.Contains(got, want) {
			t.Errorf("%s was not found: %q", want, got)
		}
	}
}
