package encode

import (
	"math/rand/v2"
	"testing"
	"time"

	"stepbench/bench/abtest"
	"stepbench/bench/abtest/estimate"
	"stepbench/bench/abtest/numerics"
	"stepbench/bench/micro"
	"stepbench/engine"
)

const (
	rotary   = "_C::rotary_embedding"
	longName = "void vllm::reshape_and_cache_flash_kernel<__nv_bfloat16, unsigned char, (vllm::Fp8KVCacheDataType)1, 128, 16>(__nv_bfloat16 const*, long)"
	hostile  = "<script>alert(1)</script>|`_x_`\n**&amp;** \"' \x1b[31m\u202eevil"
)

// kernelSpec is one of a lab's kernels: calls and µs a step.
type kernelSpec struct {
	name  string
	calls float64
	us    float64
	slow  float64 // how much slower it is in B, as a fraction
}

// labSpec describes evidence.
type labSpec struct {
	plan      string
	platform  string
	cells     []string
	launches  int
	kernels   []kernelSpec
	renamed   map[string]string // in B
	wallSlow  float64
	unchanged bool
	target    []string
	code      map[string]abtest.Code
	outputs   numerics.Report
	noise     func(endpoint, cell string) *estimate.Calibration
	alter     func(*abtest.Evidence)
}

// lab builds evidence with a fixed noise and has it judged.
func lab(t testing.TB, s labSpec) *Comparison {
	t.Helper()
	plan, err := estimate.PlanNamed(s.plan)
	if err != nil {
		t.Fatal(err)
	}
	variant := &engine.Variant{
		Name: "slow", Library: "/variants/slow/override.so",
		SHA256: map[string]string{"/variants/slow/override.so": "9f2c4b1a77d0e6a1c3b5d7f90123456789abcdef0123456789abcdef01234567"}, Ops: []string{rotary},
	}
	ev := &abtest.Evidence{
		Sides: [2]abtest.Side{{Name: engine.Stock}, {Name: "slow", Variant: variant, Unchanged: s.unchanged}},
		Plan:  plan, Cells: s.cells, Seed: 7, Target: s.target, Code: s.code, Outputs: s.outputs, BurstSteps: map[string]int{}, ElapsedS: 87.4,
		Model: engine.Model{Name: "org/llama-tiny", Shape: &engine.ModelShape{
			Architecture: "LlamaForCausalLM", Layers: 30, Hidden: 576, Parameters: 134_515_008}},
	}
	info := engine.Info{
		VLLMVersion: "0.26.0", TorchVersion: "2.11.0", PythonVersion: "3.11.7", Platform: s.platform, Device: "Fake device",
		DType: "bfloat16", AttentionBackend: "FLASH_ATTN", GraphMode: "FULL_AND_PIECEWISE", MaxModelLen: 2048, MaxNumSeqs: 8,
		MaxNumBatchedTokens: 2048, KVBlocks: 1024, KVBlockSize: 16, HostMode: engine.HostGo, Env: map[string]string{"OMP_NUM_THREADS": "2"},
	}
	for _, cell := range s.cells {
		ev.BurstSteps[cell] = 32
	}
	noise := rand.New(rand.NewPCG(3, 4))
	for n := 1; n <= s.launches; n++ {
		l := abtest.Launch{Number: n, First: abtest.Which(n % 2), Info: [2]engine.Info{info, info}, OpenS: [2]float64{21.5, 22.25}, HostLoopNs: [2]float64{1e6, 1.01e6}}
		l.Calls[abtest.ArmB] = map[string]uint64{rotary: 30}
		offset := 1 + 0.0006*noise.NormFloat64()
		for _, cell := range s.cells {
			for _, kind := range []abtest.Kind{abtest.Timing, abtest.Attribution} {
				quads := plan.TimingQuads
				if kind == abtest.Attribution {
					quads = plan.AttributionQuads
				}
				for q := 1; q <= quads; q++ {
					order := []abtest.Which{0, 1, 1, 0}
					if noise.IntN(2) == 0 {
						order = []abtest.Which{1, 0, 0, 1}
					}
					for i, arm := range order {
						l.Bursts = append(l.Bursts, abtest.Burst{
							Cell: cell, Kind: kind, Quad: q, Position: i + 1, Arm: arm, Burst: s.burst(kind, arm, offset, noise),
						})
					}
				}
			}
		}
		ev.Launches = append(ev.Launches, l)
	}
	if s.alter != nil {
		s.alter(ev)
	}
	return &Comparison{
		Evidence: ev, Result: abtest.Judge(ev, abtest.Rules{Calibration: s.noise}), Command: "stepbench ab --plan " + s.plan + " stock slow",
		Version: "1.2.3", Start: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC), Setup: []Fact{{"Host", "2 CPUs, Linux"}},
	}
}

func (s *labSpec) burst(kind abtest.Kind, arm abtest.Which, offset float64, noise *rand.Rand) *micro.Burst {
	b := &micro.Burst{Planned: 32, Steps: 32, Shapes: 11, Tokens: 22, ContextMin: 1008, ContextMax: 1040, BridgeNs: 31e3}
	factor := 1.0
	if arm == abtest.ArmB {
		factor = offset
	}
	var sum float64
	for _, k := range s.kernels {
		us := k.us
		if arm == abtest.ArmB {
			us *= 1 + k.slow
		}
		sum += us
	}
	b.WallNs = sum * 1e3 * 1.6 * (1 + 0.03*noise.NormFloat64())
	if arm == abtest.ArmB {
		b.WallNs *= 1 + s.wallSlow
	}
	if kind == abtest.Timing {
		return b
	}
	at := factor * (1 + 0.0008*noise.NormFloat64())
	p := &micro.BurstProfile{Unit: "kernel", GapNs: 9e3}
	for _, k := range s.kernels {
		name, us := k.name, k.us*at
		if arm == abtest.ArmB {
			us *= 1 + k.slow
			if n := s.renamed[k.name]; n != "" {
				name = n
			}
		}
		p.Rows = append(p.Rows, micro.BurstRow{Name: name, Calls: k.calls, Ns: us * 1e3, MedianNs: us * 1e3 / k.calls, TypicalNs: us * 1e3})
		p.SumNs += us * 1e3
	}
	p.Rows = append(p.Rows, micro.BurstRow{Name: "Memcpy DtoH", Calls: 1, Ns: 1500, MedianNs: 1500, TypicalNs: 1500, Copy: true})
	p.BusyNs = p.SumNs
	b.Profile = p
	return b
}

// gpuKernels are more than a short table lists.
func gpuKernels(slow float64) []kernelSpec {
	all := []kernelSpec{
		{"ampere_bf16_s16816gemm_bf16_128x64_ldg8_f2f_stages_64x4_tn", 60, 1480, 0},
		{"flash_fwd_splitkv_kernel", 30, 310.5, 0}, {longName, 30, 41.25, 0},
		{"void vllm::rotary_embedding_kernel<c10::BFloat16, true>(long const*)", 30, 78.4, slow},
	}
	for _, n := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"} {
		all = append(all, kernelSpec{"triton_poi_fused_" + n, 2, 1.5, 0})
	}
	return all
}

func sampleGates() []abtest.Gate {
	return []abtest.Gate{
		{Name: "executed", Rule: "an op under test ran", Status: abtest.Pass, Detail: rotary},
		{Name: "clocks", Rule: "arms' median SM clocks within 0.5 % (flag), 1 % (fail)", Status: abtest.Flag, Detail: "1410 and 1402 MHz, -0.57 %"},
		{Name: "foreign work", Rule: "no other process on the device", Status: abtest.Unknown, Detail: "the driver does not list processes"},
		{Name: "control", Rule: "what did not change did not move", Status: abtest.Pass, Detail: "14 kernels that did not change"},
	}
}

func identical() numerics.Report {
	same := &numerics.Agreement{Positions: 4096, BitEqual: true, Top1Frac: 1}
	return numerics.Report{Status: numerics.Identical, Kind: numerics.Logprobs, Prompts: 64, Tokens: 4096, EqualPrompts: 64, Decode: same, Prefill: same, Limits: numerics.Floors{}.Limits()}
}

func differing() numerics.Report {
	return numerics.Report{
		Status: numerics.Differs, Kind: numerics.Logprobs, Prompts: 64, Tokens: 4096, EqualPrompts: 3,
		Reasons: []string{"decode: max |Δlogprob| is 7.3 at prompt 4, position 0, limit 0.5"},
		First:   &numerics.Divergence{Place: numerics.Place{Prompt: 4}, TokenA: 11, TokenB: 29, LogprobA: -0.25, LogprobB: -7.5},
		Decode:  &numerics.Agreement{Positions: 812, Top1Frac: 0.831, MeanAbs: 0.42, MaxAbs: 7.3, KL: 0.31},
		Limits:  numerics.Floors{}.Limits(), Floors: numerics.Floors{Pairs: 3, BitEqual: true},
	}
}

// comparisons are one of each kind of verdict, with what a format has to show.
func comparisons(t testing.TB) map[string]*Comparison {
	t.Helper()
	cpu := []kernelSpec{{rotary, 30, 2200, 0}, {"_C_cpu::attention", 30, 4100, 0}, {"aten::mm", 210, 30500, 0}}
	slowCPU := []kernelSpec{{rotary, 30, 2200, 0.25}, cpu[1], cpu[2]}
	fastCPU := []kernelSpec{{rotary, 30, 2200, -0.2}, cpu[1], cpu[2]}
	few := []kernelSpec{{rotary, 30, 2200, 0.012}, cpu[1]}
	code := map[string]abtest.Code{"void vllm::rotary_embedding_v2<c10::BFloat16>(long const*)": abtest.CodeChanged}
	target := []string{rotary}
	all := map[string]*Comparison{
		"slower": lab(t, labSpec{
			plan: "standard", platform: "cuda", cells: []string{"8q1s1k", "q512"}, launches: 4, kernels: gpuKernels(0.9),
			target:  []string{"void vllm::rotary_embedding_v2<c10::BFloat16>(long const*)"},
			renamed: map[string]string{"void vllm::rotary_embedding_kernel<c10::BFloat16, true>(long const*)": "void vllm::rotary_embedding_v2<c10::BFloat16>(long const*)"},
			code:    code, outputs: identical(), noise: calibration(t),
			alter: func(ev *abtest.Evidence) {
				ev.Launches[1].Bursts[5].Drop = "gc"
				for k := range ev.Launches[2].Bursts {
					if b := &ev.Launches[2].Bursts[k]; b.Kind == abtest.Attribution && b.Quad == 3 {
						b.Drop = "preemption"
					}
				}
			},
		}),
		"same-aa": lab(t, labSpec{
			plan: "ci", platform: "cpu", cells: []string{"8q1s128"}, launches: 3, kernels: cpu, unchanged: true, target: target,
			outputs: identical(),
		}),
		"faster-differs": lab(t, labSpec{
			plan: "ci", platform: "cpu", cells: []string{"8q1s128"}, launches: 3, kernels: fastCPU, target: target,
			outputs: differing(),
		}),
		"inconclusive": lab(t, labSpec{
			plan: "ci", platform: "cpu", cells: []string{"8q1s128"}, launches: 1, kernels: few, target: target,
			outputs: numerics.Unchecked("not asked for"),
		}),
		"wall": lab(t, labSpec{
			plan: "ci", platform: "cpu", cells: []string{"8q1s128"}, launches: 3, kernels: cpu, target: target, wallSlow: 0.25,
			outputs: identical(),
		}),
		"invalid": lab(t, labSpec{
			plan: "ci", platform: "cpu", cells: []string{"8q1s128"}, launches: 1, kernels: slowCPU, target: target,
			outputs: numerics.Unchecked("the worker died first"),
			alter: func(ev *abtest.Evidence) {
				b := abtest.ArmB
				ev.Failure = &abtest.Failure{
					Launch: 1, Arm: &b, Side: "slow", During: "timing", Reason: "the worker died: signal: segmentation fault",
					Log: []string{"Fatal Python error: Segmentation fault", "```", "<script>alert(2)</script>"},
				}
			},
		}),
	}
	for name, c := range all {
		if name != "invalid" {
			c.Result.Gates = sampleGates()
		}
	}
	return all
}

// calibration is the noise of ten launches, the same for all.
func calibration(t testing.TB) func(endpoint, cell string) *estimate.Calibration {
	noise := rand.New(rand.NewPCG(5, 6))
	var launches [][]float64
	for range 10 {
		offset := 0.0008 * noise.NormFloat64()
		var d []float64
		for range 8 {
			d = append(d, offset+0.001*noise.NormFloat64())
		}
		launches = append(launches, d)
	}
	c, err := estimate.Calibrate(estimate.Key{}, "", launches)
	if err != nil {
		t.Fatal(err)
	}
	return func(endpoint, _ string) *estimate.Calibration {
		if endpoint == "wall" {
			return nil
		}
		return c
	}
}
