package bridge

import (
	"fmt"
	"strings"
	"unsafe"
)

// cString is s as a NUL-terminated byte pointer. A NUL inside s would cut it
// short unseen, so it is refused.
func cString(s string) (*byte, error) {
	if strings.IndexByte(s, 0) >= 0 {
		return nil, fmt.Errorf("%q contains a NUL byte", s)
	}
	b := make([]byte, len(s)+1)
	copy(b, s)
	return &b[0], nil
}

// goString copies a NUL-terminated string.
func goString(p *byte) string {
	if p == nil {
		return ""
	}
	n := 0
	for *(*byte)(unsafe.Add(unsafe.Pointer(p), n)) != 0 {
		n++
	}
	return string(unsafe.Slice(p, n))
}
