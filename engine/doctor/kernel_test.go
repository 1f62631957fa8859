package doctor

import "testing"

func TestStackLimit(t *testing.T) {
	line := func(soft string) map[string]string {
		return map[string]string{"self/limits": "Max data size   unlimited   unlimited   bytes\nMax stack size   " + soft + "   unlimited   bytes\n"}
	}
	tests := []struct {
		name   string
		proc   map[string]string
		status Status
		value  string
	}{
		{"usual", line("8388608"), OK, "8 MiB"},
		{"small", line("8388607"), Warn, "7 MiB"},
		{"unlimited", line("unlimited"), OK, "unlimited"},
		{"garbage", line("plenty"), Absent, NotAvailable},
		{"no line", map[string]string{"self/limits": "Max data size unlimited\n"}, Absent, NotAvailable},
		{"vanished", nil, Absent, NotAvailable},
	}
	for _, tt := range tests {
		h := emptyHost()
		h.proc = files(tt.proc)
		if got := stackCheck(h); got.Status != tt.status || got.Value != tt.value || (got.Status == Warn) != (got.Remedy != "") {
			t.Errorf("%s: got %+v, want %s, %s", tt.name, got, tt.status, tt.value)
		}
	}
}

func TestClockSource(t *testing.T) {
	const file = "devices/system/clocksource/clocksource0/current_clocksource"
	tests := []struct {
		name   string
		sys    map[string]string
		status Status
		value  string
	}{
		{"tsc", map[string]string{file: "tsc\n"}, OK, "tsc"},
		{"kvm", map[string]string{file: "kvm-clock\n"}, OK, "kvm-clock"},
		{"hyper-v", map[string]string{file: "hyperv_clocksource_tsc_page\n"}, OK, "hyperv_clocksource_tsc_page"},
		{"system call", map[string]string{file: "hpet\n"}, Warn, "hpet"},
		{"empty", map[string]string{file: "\n"}, Absent, NotAvailable},
		{"vanished", nil, Absent, NotAvailable},
	}
	for _, tt := range tests {
		h := emptyHost()
		h.sys = files(tt.sys)
		if got := clockCheck(h); got.Status != tt.status || got.Value != tt.value || (got.Status == Warn) != (got.Remedy != "") {
			t.Errorf("%s: got %+v, want %s, %s", tt.name, got, tt.status, tt.value)
		}
	}
}
