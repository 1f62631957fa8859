package shard

import (
	"errors"
	"fmt"
	"strings"
)

// Variables that schedulers set for each of their tasks.
const (
	// Slurm, sbatch --array (https://slurm.schedmd.com/job_array.html).
	slurmID    = "SLURM_ARRAY_TASK_ID"
	slurmCount = "SLURM_ARRAY_TASK_COUNT"
	slurmMin   = "SLURM_ARRAY_TASK_MIN"
	slurmMax   = "SLURM_ARRAY_TASK_MAX"
	slurmStep  = "SLURM_ARRAY_TASK_STEP"
	// Kubernetes, a Job with completionMode: Indexed
	// (https://kubernetes.io/docs/concepts/workloads/controllers/job/). Nothing
	// tells how many completions it has: the manifest has to.
	kubeIndex = "JOB_COMPLETION_INDEX"
	kubeCount = "JOB_COMPLETIONS"
	// torchrun (https://docs.pytorch.org/docs/stable/elastic/run.html).
	torchRank  = "RANK"
	torchWorld = "WORLD_SIZE"
)

// auto finds the one scheduler that started this process. count > 0 is what the
// user says of the number of shards.
func auto(env func(string) string, count int) (Shard, error) {
	found := []struct {
		source    string
		variables []string
		read      func(reader, int) (Shard, error)
	}{
		{"Slurm array", []string{slurmID}, slurm},
		{"Kubernetes indexed Job", []string{kubeIndex}, kubernetes},
		{"torchrun", []string{torchRank, torchWorld}, torchrun},
	}
	var sources, set []string
	var read func(reader, int) (Shard, error)
	for _, f := range found {
		for _, v := range f.variables {
			if env(v) != "" {
				sources, set, read = append(sources, f.source), append(set, v), f.read
				break
			}
		}
	}
	switch len(sources) {
	case 0:
		return Shard{}, fmt.Errorf("none of %s (Slurm array), %s (Kubernetes indexed Job), %s and %s (torchrun) is set: "+
			"start it from one of these, or give --shard i/n", slurmID, kubeIndex, torchRank, torchWorld)
	case 1:
		s, err := read(env, count)
		s.Source = sources[0]
		if err != nil {
			return Shard{}, err
		}
		return s, nil
	}
	return Shard{}, fmt.Errorf("%s are set at once (%s): unset all but one, or give --shard i/n", strings.Join(set, " and "), strings.Join(sources, " and "))
}

// reader reads numbers from the environment.
type reader func(string) string

func (env reader) number(name string) (int, error) {
	text := env(name)
	if text == "" {
		return 0, fmt.Errorf("%s is not set", name)
	}
	n, err := number(text)
	if err != nil {
		return 0, fmt.Errorf("%s is %q, want a number of 0 or above", name, text)
	}
	return n, nil
}

// slurm counts tasks in an array of regular steps. An array that is a list, as
// --array=1,5,6, does not say which place a task has in it.
func slurm(env reader, count int) (Shard, error) {
	id, err1 := env.number(slurmID)
	tasks, err2 := env.number(slurmCount)
	first, err3 := env.number(slurmMin)
	last, err4 := env.number(slurmMax)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return Shard{}, oneLine(err)
	}
	step := 1
	if env(slurmStep) != "" {
		n, err := env.number(slurmStep)
		if err != nil {
			return Shard{}, err
		}
		step = max(n, 1)
	}
	if id < first || id > last || (id-first)%step != 0 || (last-first)%step != 0 || (last-first)/step+1 != tasks {
		return Shard{}, fmt.Errorf("%s=%d is of %d tasks from %s=%d to %s=%d by %s=%d, which is no regular array: use one such as --array=0-7, or give --shard i/n",
			slurmID, id, tasks, slurmMin, first, slurmMax, last, slurmStep, step)
	}
	if count > 0 && count != tasks {
		return Shard{}, disagree(count, slurmCount, tasks)
	}
	return Shard{Index: (id - first) / step, Count: tasks}, nil
}

func kubernetes(env reader, count int) (Shard, error) {
	index, err := env.number(kubeIndex)
	if err != nil {
		return Shard{}, err
	}
	if env(kubeCount) != "" {
		n, err := env.number(kubeCount)
		if err != nil {
			return Shard{}, err
		}
		if count > 0 && count != n {
			return Shard{}, disagree(count, kubeCount, n)
		}
		count = n
	} else if count == 0 {
		return Shard{}, fmt.Errorf("%s=%d is set, but Kubernetes does not tell how many completions the Job has: "+
			"give --shard auto/N with N its .spec.completions, or set %s in the manifest", kubeIndex, index, kubeCount)
	}
	if err := inRange(index, count); err != nil {
		return Shard{}, fmt.Errorf("%s: %w", kubeIndex, err)
	}
	return Shard{Index: index, Count: count}, nil
}

func torchrun(env reader, count int) (Shard, error) {
	rank, err1 := env.number(torchRank)
	world, err2 := env.number(torchWorld)
	if err := errors.Join(err1, err2); err != nil {
		return Shard{}, oneLine(err)
	}
	if count > 0 && count != world {
		return Shard{}, disagree(count, torchWorld, world)
	}
	if err := inRange(rank, world); err != nil {
		return Shard{}, fmt.Errorf("%s=%d, %s=%d: %w", torchRank, rank, torchWorld, world, err)
	}
	return Shard{Index: rank, Count: world}, nil
}

func disagree(count int, name string, n int) error {
	return fmt.Errorf("%s is %d, not %d: leave out the number, or correct it", name, n, count)
}

func oneLine(err error) error {
	return errors.New(strings.ReplaceAll(err.Error(), "\n", ", "))
}
