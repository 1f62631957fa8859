package engine

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"stepbench/bridge"
)

// Executor is how vLLM runs the ranks of a model (distributed_executor_backend).
type Executor string

const (
	ExecutorUni Executor = "uni" // one rank, in the engine's process
	ExecutorMP  Executor = "mp"  // a process for each rank, on this host
	ExecutorRay Executor = "ray" // on the hosts of a Ray cluster
)

// Executors are the values of an --executor flag.
var Executors = []Executor{ExecutorUni, ExecutorMP, ExecutorRay}

// Ranks is how many devices the model is spread over: TP·PP.
func (c *Config) Ranks() int { return max(1, c.TP) * max(1, c.PP) }

// executor is the one asked for, or else the one that fits the ranks.
func (c *Config) executor() Executor {
	switch {
	case c.Executor != "":
		return c.Executor
	case c.Ranks() > 1:
		return ExecutorMP
	}
	return ExecutorUni
}

// parallelFields are EngineArgs that Config has fields for. Given as Extra they
// would pass by what is set up for ranks.
var parallelFields = map[string]string{
	"tensor_parallel_size": "tp", "pipeline_parallel_size": "pp", "distributed_executor_backend": "executor",
}

// CheckParallel refuses what cannot run, without starting anything.
func (c *Config) CheckParallel() error {
	for field, instead := range parallelFields {
		if _, set := c.Extra[field]; set {
			return fmt.Errorf("%s is no engine argument here: give %s", field, instead)
		}
	}
	switch executor := c.executor(); {
	case c.TP < 0 || c.PP < 0:
		return fmt.Errorf("tp=%d, pp=%d: at least 1 each", c.TP, c.PP)
	case !slices.Contains(Executors, executor):
		return fmt.Errorf("executor %q is not one of %v", executor, Executors)
	case executor == ExecutorUni && c.Ranks() > 1:
		return fmt.Errorf("executor uni has one rank, tp=%d and pp=%d need %d: choose mp", max(1, c.TP), max(1, c.PP), c.Ranks())
	case executor == ExecutorRay && c.Variant != nil:
		return errors.New("a variant is loaded in ranks of this host: executor ray has them elsewhere, choose mp")
	}
	return nil
}

// checkPlatform refuses what vLLM's platform would, but minutes earlier.
func (c *Config) checkPlatform(cpu bool) error {
	if cpu && c.executor() == ExecutorRay {
		// vllm/v1/executor/ray_utils.py: CpuPlatform has no ray_device_key.
		return errors.New("vLLM's Ray executor refuses the CPU (\"current platform cpu does not support ray\"): choose executor mp")
	}
	return nil
}

// unset are those of KEY=VALUE pairs whose variable the user has not set.
func unset(pairs ...string) []string {
	return slices.DeleteFunc(pairs, func(pair string) bool {
		key, _, _ := strings.Cut(pair, "=")
		return os.Getenv(key) != ""
	})
}

// patience makes --step-timeout decide how long a step may take: vLLM gives up on
// one after 300 s unless told.
func patience(opt WorkerOptions) string {
	return fmt.Sprintf("VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS=%d", int((opt.stepTimeout() + time.Minute).Seconds()))
}

// rankEnv is what ranks in processes of this host need in a worker's environment;
// cpus is nil on CUDA. What the user set stays.
func rankEnv(cfg *Config, opt WorkerOptions, cpus []int) []string {
	// Ranks that wait for a dead one do not end by themselves.
	env := []string{patience(opt), "VLLM_WORKER_SHUTDOWN_TIMEOUT_SECONDS=2"}
	if cpus == nil {
		// The first devices, by the number that nvidia-smi gives them.
		env = append(env, "CUDA_DEVICE_ORDER=PCI_BUS_ID", "CUDA_VISIBLE_DEVICES="+strings.Join(numbers(cfg.Ranks()), ","))
		return unset(env...)
	}
	sets := shareCPUs(cpus, cfg.Ranks())
	lists := make([]string, len(sets))
	for i, s := range sets {
		lists[i] = join(s)
	}
	// vLLM's own choice needs a NUMA node for each rank
	// (vllm/utils/ompmultiprocessing.py).
	env = append(env, "VLLM_CPU_OMP_THREADS_BIND="+strings.Join(lists, "|"), fmt.Sprint("OMP_NUM_THREADS=", len(sets[0])))
	return unset(env...)
}

func numbers(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = strconv.Itoa(i)
	}
	return out
}

func join(numbers []int) string {
	text := make([]string, len(numbers))
	for i, n := range numbers {
		text[i] = strconv.Itoa(n)
	}
	return strings.Join(text, ",")
}

// shareCPUs gives each rank CPUs of its own, as many to each, neighbours
// together. What is left over, and one at least where there are more CPUs than
// ranks, is for the engine's own process, which schedules. With fewer CPUs than
// ranks several have the same.
func shareCPUs(cpus []int, ranks int) [][]int {
	out := make([][]int, ranks)
	each := (len(cpus) - 1) / ranks
	if each == 0 {
		for i := range out {
			out[i] = []int{cpus[i%len(cpus)]}
		}
		return out
	}
	for i := range out {
		out[i] = cpus[i*each : (i+1)*each]
	}
	return out
}

// parallelEnv is the environment for the ranks of cfg on this machine, none for an
// engine in one process, and checks that cfg can run here.
func parallelEnv(cfg *Config, opt WorkerOptions) ([]string, footprint, error) {
	if err := cfg.CheckParallel(); err != nil {
		return nil, footprint{}, err
	}
	if cfg.executor() == ExecutorUni {
		return nil, footprint{}, nil
	}
	python, err := bridge.FindPython(opt.Host.Python)
	if err != nil {
		return nil, footprint{}, err
	}
	cpu := cpuSite(python) != ""
	if err := cfg.checkPlatform(cpu); err != nil {
		return nil, footprint{}, err
	}
	if cfg.executor() == ExecutorRay {
		return unset(patience(opt)), footprint{}, nil
	}
	var cpus []int
	if cpu {
		if cpus, err = allowedCPUs(); err != nil {
			return nil, footprint{}, err
		}
	}
	left := newFootprint()
	env, err := left.env()
	return append(rankEnv(cfg, opt, cpus), env...), left, err
}
