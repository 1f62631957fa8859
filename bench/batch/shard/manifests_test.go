package shard

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

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

func TestKubernetesManifest(t *testing.T) {
	text, err := os.ReadFile(manifests + "kubernetes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var job struct {
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
	d := yaml.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(&job); err != nil {
		t.Fatal(err)
	}
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		t.Errorf("more than one document: %v", err)
	}
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
