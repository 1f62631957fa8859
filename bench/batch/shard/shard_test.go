package shard

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// environment of a process, by pairs of name and value.
func environment(pairs ...string) func(string) string {
	env := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		env[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return env[name] }
}

func slurmArray(id, first, last, step, count string) func(string) string {
	return environment(slurmID, id, slurmMin, first, slurmMax, last, slurmStep, step, slurmCount, count)
}

func TestParse(t *testing.T) {
	none := environment()
	tests := []struct {
		name, text string
		env        func(string) string
		want       Shard
	}{
		{"not sharded", "", slurmArray("3", "0", "7", "1", "8"), Shard{0, 1, ""}},
		{"by hand", "2/8", none, Shard{2, 8, "--shard 2/8"}},
		{"one of one", "0/1", none, Shard{0, 1, "--shard 0/1"}},
		{"by hand in an array", "2/8", slurmArray("3", "0", "7", "1", "8"), Shard{2, 8, "--shard 2/8"}},
		{"Slurm from 0", "auto", slurmArray("3", "0", "7", "1", "8"), Shard{3, 8, "Slurm array"}},
		{"Slurm from 1", "auto", slurmArray("8", "1", "8", "1", "8"), Shard{7, 8, "Slurm array"}},
		{"Slurm by steps", "auto", slurmArray("16", "10", "19", "3", "4"), Shard{2, 4, "Slurm array"}},
		{"Slurm without a step", "auto", environment(slurmID, "5", slurmMin, "4", slurmMax, "5", slurmCount, "2"), Shard{1, 2, "Slurm array"}},
		{"Slurm, the number given", "auto/8", slurmArray("3", "0", "7", "1", "8"), Shard{3, 8, "Slurm array"}},
		{"Kubernetes, number given", "auto/5", environment(kubeIndex, "4"), Shard{4, 5, "Kubernetes indexed Job"}},
		{"Kubernetes, number in the manifest", "auto", environment(kubeIndex, "0", kubeCount, "5"), Shard{0, 5, "Kubernetes indexed Job"}},
		{"torchrun", "auto", environment(torchRank, "1", torchWorld, "2"), Shard{1, 2, "torchrun"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse(tt.text, tt.env)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			again, err := Parse(got.String(), none)
			if err != nil || again.Index != got.Index || again.Count != got.Count {
				t.Errorf("%s read again is %v, %v", got, again, err)
			}
		})
	}
}

func TestParse_Errors(t *testing.T) {
	none := environment()
	tests := []struct {
		name, text string
		env        func(string) string
		want       string
	}{
		{"word", "all", none, "--shard all: want i/n such as 0/8, auto, or auto/n"},
		{"no number", "1", none, "--shard 1: want i/n such as 0/8, auto, or auto/n"},
		{"sign", "+1/8", none, "--shard +1/8: want i/n such as 0/8, auto, or auto/n"},
		{"negative", "-1/8", none, "--shard -1/8: want i/n such as 0/8, auto, or auto/n"},
		{"three parts", "1/2/3", none, "--shard 1/2/3: want i/n such as 0/8, auto, or auto/n"},
		{"huge", "1/99999999999999999999", none, "--shard 1/99999999999999999999: want i/n such as 0/8, auto, or auto/n"},
		{"counted from 1", "8/8", none, "--shard 8/8: there is no shard 8 of 8: they count from 0 to 7"},
		{"none at all", "0/0", none, "--shard 0/0: 0 shards, want 1 or more"},
		{"auto of none", "auto/0", none, `--shard auto/0: the number of shards is "0", want 1 or more, such as auto/8`},
		{"auto of nothing", "auto/", none, `--shard auto/: the number of shards is "", want 1 or more, such as auto/8`},
		{
			"no scheduler", "auto", none,
			"--shard auto: none of SLURM_ARRAY_TASK_ID (Slurm array), JOB_COMPLETION_INDEX (Kubernetes indexed Job), RANK and WORLD_SIZE (torchrun) is set: " +
				"start it from one of these, or give --shard i/n",
		},
		{
			"two schedulers", "auto", environment(slurmID, "0", torchRank, "1"),
			"--shard auto: SLURM_ARRAY_TASK_ID and RANK are set at once (Slurm array and torchrun): unset all but one, or give --shard i/n",
		},
		{"Slurm, half", "auto", environment(slurmID, "0", slurmMin, "0"), "--shard auto: SLURM_ARRAY_TASK_COUNT is not set, SLURM_ARRAY_TASK_MAX is not set"},
		{"Slurm, no number", "auto", slurmArray("x", "0", "1", "1", "2"), `--shard auto: SLURM_ARRAY_TASK_ID is "x", want a number of 0 or above`},
		{
			"Slurm, a list", "auto", slurmArray("5", "1", "6", "1", "3"),
			"--shard auto: SLURM_ARRAY_TASK_ID=5 is of 3 tasks from SLURM_ARRAY_TASK_MIN=1 to SLURM_ARRAY_TASK_MAX=6 by SLURM_ARRAY_TASK_STEP=1, " +
				"which is no regular array: use one such as --array=0-7, or give --shard i/n",
		},
		{"Slurm, other number", "auto/4", slurmArray("3", "0", "7", "1", "8"), "--shard auto/4: SLURM_ARRAY_TASK_COUNT is 8, not 4: leave out the number, or correct it"},
		{
			"Kubernetes, no number", "auto", environment(kubeIndex, "2"),
			"--shard auto: JOB_COMPLETION_INDEX=2 is set, but Kubernetes does not tell how many completions the Job has: " +
				"give --shard auto/N with N its .spec.completions, or set JOB_COMPLETIONS in the manifest",
		},
		{"Kubernetes, number too small", "auto/2", environment(kubeIndex, "2"), "--shard auto/2: JOB_COMPLETION_INDEX: there is no shard 2 of 2: they count from 0 to 1"},
		{"Kubernetes, numbers disagree", "auto/3", environment(kubeIndex, "2", kubeCount, "4"), "--shard auto/3: JOB_COMPLETIONS is 4, not 3: leave out the number, or correct it"},
		{"torchrun, no world", "auto", environment(torchRank, "1"), "--shard auto: WORLD_SIZE is not set"},
		{"torchrun, no rank", "auto", environment(torchWorld, "1"), "--shard auto: RANK is not set"},
		{"torchrun, out of range", "auto", environment(torchRank, "2", torchWorld, "2"), "--shard auto: RANK=2, WORLD_SIZE=2: there is no shard 2 of 2: they count from 0 to 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse(tt.text, tt.env)
			if err == nil || err.Error() != tt.want {
				t.Errorf("%v, %v\nwant %s", got, err, tt.want)
			}
		})
	}
}

// Every row is in exactly one shard, and shards are of the same size but for one
// row.
func TestShardsArePartition(t *testing.T) {
	for _, count := range []int{1, 2, 3, 8, 1000} {
		const rows = 1003
		sizes := make([]int, count)
		for index := range int64(rows) {
			owners := 0
			for i := range count {
				s, err := Parse(fmt.Sprintf("%d/%d", i, count), environment())
				if err != nil {
					t.Fatal(err)
				}
				if s.Has(index) {
					owners++
					sizes[i]++
				}
			}
			if owners != 1 {
				t.Fatalf("row %d is in %d of %d shards", index, owners, count)
			}
		}
		for i, n := range sizes {
			if low := rows / count; n < low || n > low+1 {
				t.Errorf("shard %d of %d has %d rows", i, count, n)
			}
		}
	}
}
