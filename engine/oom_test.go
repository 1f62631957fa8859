package engine

import "testing"

func TestOOMKillsIn(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, vmstat string
		want         int
	}{
		{"some", "drop_slab 0\noom_kill 12\nnuma_pte_updates 0\n", 12},
		{"last line without an end", "oom_kill 3", 3},
		{"an older kernel", "drop_slab 4\n", 0},
		{"a field that begins alike", "oom_kill_other 4\n", 0},
		{"nothing", "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := oomKillsIn([]byte(tt.vmstat)); got != tt.want {
				t.Errorf("%d, want %d", got, tt.want)
			}
		})
	}
}
