package bridge

import (
	"os"
	"regexp"
	"strconv"
	"testing"
)

func loaded(t *testing.T) *Library {
	t.Helper()
	shim, _ := needHost(t)
	lib, err := Load(shim)
	if err != nil {
		t.Fatal(err)
	}
	return lib
}

func TestLayoutEqualsShim(t *testing.T) {
	lib := loaded(t)
	mine := layout()
	if n := int(lib.abiCount()); n != len(mine) {
		t.Fatalf("the shim has %d words, this program %d", n, len(mine))
	}
	for i, want := range mine {
		if got := lib.abiValue(int32(i)); got != want {
			t.Errorf("%s is %d in the shim, %d here", lib.abiName(int32(i)), got, want)
		}
	}
	if at := lib.abiCheck(&mine[0], int32(len(mine))); at != -1 {
		t.Errorf("the shim refuses word %d", at)
	}
	for _, i := range []int32{-1, int32(len(mine))} {
		if name, value := lib.abiName(i), lib.abiValue(i); name != "" || value != -1 {
			t.Errorf("word %d outside the table is %q %d", i, name, value)
		}
	}
}

// The shim must see a difference in any word, and a table of another length.
func TestShimChecksLayout(t *testing.T) {
	lib := loaded(t)
	n := int32(len(layout()))
	for i := range n {
		changed := layout()
		changed[i]++
		if at := lib.abiCheck(&changed[0], n); at != i {
			t.Errorf("%s changed: the shim reports word %d, want %d", lib.abiName(i), at, i)
		}
	}
	longer := append(layout(), 0)
	if at := lib.abiCheck(&longer[0], n+1); at != n {
		t.Errorf("table one longer: the shim reports word %d, want %d", at, n)
	}
	if at := lib.abiCheck(&longer[0], n-1); at != n-1 {
		t.Errorf("table one shorter: the shim reports word %d, want %d", at, n-1)
	}
}

// The error codes are no part of the table; the header is their truth.
func TestCodesEqualHeader(t *testing.T) {
	header, err := os.ReadFile("../csrc/include/stepbench.h")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, m := range regexp.MustCompile(`(?m)^ +SB_(OK|E[A-Z]+) = (-?\d+),`).FindAllStringSubmatch(string(header), -1) {
		if got[m[1]], err = strconv.Atoi(m[2]); err != nil {
			t.Fatal(err)
		}
	}
	equal(t, "codes of the header", got, map[string]int{
		"OK": codeOK, "EPYTHON": codePython, "EABI": codeABI, "ETHREAD": codeThread,
		"ESTATE": codeState, "EINIT": codeInit, "EMEMORY": codeMemory,
	})
}
