package shard

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

const manifests = "../../../docs/batch/"

func TestSlurmManifest(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash to check the syntax with")
	}
	if out, err := exec.Command(bash, "-n", manifests+"slurm.sh").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	text, err := os.ReadFile(manifests + "slurm.sh")
	if err != nil {
		t.Fatal(err)
	}
	commands := false
	for line := range strings.Lines(string(text)) {
		// sbatch reads no options behind the first command.
		if strings.HasPrefix(line, "#SBATCH") && commands {
			t.Errorf("too late for sbatch: %s", line)
		}
		commands = commands || strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "#")
	}
	if !strings.Contains(string(text), "#SBATCH --array=0-7\n") || !strings.Contains(string(text), "--shard auto ") {
		t.Error("no array of shards")
	}
}

// paths that a shell would act on, were it to read them twice.
var paths = []string{
	"plain", "two words", "$(touch TRACE)", "`touch TRACE`", "'; touch TRACE; '", "\"; touch TRACE; \"", "*", "-x", "a\nb", "a;touch TRACE", "${HOME}", `\`,
}

// TestManifestsQuote: paths reach the program as they are.
func TestManifestsQuote(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash to run them with")
	}
	job := kubernetesJob(t)
	tests := []struct {
		name, index string
		command     []string
	}{
		{"slurm", "SLURM_ARRAY_TASK_ID", []string{bash, manifests + "slurm.sh"}},
		{"kubernetes", kubeIndex, job.Spec.Template.Spec.Containers[0].Command},
	}
	for _, tt := range tests {
		for i, path := range paths {
			t.Run(fmt.Sprintf("%s-%d", tt.name, i), func(t *testing.T) {
				bin, work := t.TempDir(), t.TempDir()
				trace, got := filepath.Join(work, "trace"), filepath.Join(work, "got")
				for name, script := range map[string]string{
					"stepbench": "#!/bin/sh\nprintf '%s\\0' \"$@\" >" + got + "\n",
					"srun":      "#!/bin/sh\nexec \"$@\"\n",
				} {
					if err := os.WriteFile(filepath.Join(bin, name), []byte(script), 0o700); err != nil {
						t.Fatal(err)
					}
				}
				path := strings.ReplaceAll(path, "TRACE", trace)
				model, in, out := "m"+path, "i"+path, filepath.Join(work, "o"+path)
				cmd := exec.Command(tt.command[0], tt.command[1:]...)
				cmd.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), tt.index + "=3", "STEPBENCH=" + filepath.Join(bin, "stepbench"), "MODEL=" + model, "INPUT=" + in, "OUTPUT=" + out}
				if text, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("%v\n%s", err, text)
				}
				args, err := os.ReadFile(got)
				if err != nil {
					t.Fatal(err)
				}
				want := []string{"batch", "--model", model, "--shard", "auto", in, out + "/shard-3"}
				if diff := cmp.Diff(want, strings.Split(strings.TrimSuffix(string(args), "\x00"), "\x00")); diff != "" {
					t.Errorf("arguments (-want +got)\n%s", diff)
				}
				if _, err := os.Stat(trace); err == nil {
					t.Error("the shell ran what is in a path")
				}
			})
		}
	}
}

// kubernetesManifest is what the tests read of it.
type kubernetesManifest struct {
	Kind string
	Spec struct {
		CompletionMode string `yaml:"completionMode"`
		Completions    int
		Template       struct {
			Spec struct {
				Containers []struct {
					Name    string
					Command []string
					Env     []struct{ Name, Value string }
				}
			}
		}
		PodFailurePolicy struct {
			Rules []struct {
				OnExitCodes struct {
					ContainerName string `yaml:"containerName"`
				} `yaml:"onExitCodes"`
			}
		} `yaml:"podFailurePolicy"`
	}
}

func kubernetesJob(t *testing.T) (job kubernetesManifest) {
	t.Helper()
	text, err := os.ReadFile(manifests + "kubernetes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(&job); err != nil {
		t.Fatal(err)
	}
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		t.Errorf("more than one document: %v", err)
	}
	return job
}

func TestKubernetesManifest(t *testing.T) {
	job := kubernetesJob(t)
	if job.Kind != "Job" || job.Spec.CompletionMode != "Indexed" {
		t.Errorf("a %s with completions %s", job.Kind, job.Spec.CompletionMode)
	}
	container := job.Spec.Template.Spec.Containers[0]
	if name := job.Spec.PodFailurePolicy.Rules[0].OnExitCodes.ContainerName; name != container.Name {
		t.Errorf("the failure policy is for container %s, not %s", name, container.Name)
	}
	// What the pods see must make them shards of as many.
	env := map[string]string{kubeIndex: strconv.Itoa(job.Spec.Completions - 1)}
	for _, e := range container.Env {
		env[e.Name] = e.Value
	}
	s, err := Parse("auto", func(name string) string { return env[name] })
	if err != nil || s.Index != job.Spec.Completions-1 || s.Count != job.Spec.Completions {
		t.Errorf("the last pod is shard %v: %v", s, err)
	}
	script := container.Command[len(container.Command)-1]
	if !strings.Contains(script, "--shard auto ") {
		t.Errorf("no shards: %s", script)
	}
	if out, err := exec.Command("sh", "-n", "-c", script).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
