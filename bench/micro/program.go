package micro

import "stepbench/engine"

// Role is what a step of a program is for.
type Role string

const (
	RoleSetup   Role = "setup"   // brings sequences to where they should be
	RoleSettle  Role = "settle"  // after a change of the batch
	RoleMeasure Role = "measure" // has the cell's shape
	RoleCleanup Role = "cleanup" // carries out what left the batch
)

// planned is a step before it has run.
type planned struct {
	Composition
	role    Role
	context span // of the decodes, of the prompts in a step without any
	cost    cost
}

// plannedOp is the steps of an Op. burst counts the profiled bursts of a program
// from 1; 0 means that the Op is not profiled.
type plannedOp struct {
	steps []planned
	burst int
}

// program is a script and what each of its Ops will consist of.
type program struct {
	script   engine.Script
	plan     []plannedOp
	measured int // steps in RoleMeasure
	bursts   int
}

// builder writes a program by running it on a predicted scheduler.
type builder struct {
	program
	scheduler
	prompts *prompts
	pending []engine.Request // submitted before the next op
	steps   int
}

// submit queues a request of each length that ends after maxTokens outputs.
func (b *builder) submit(lengths []int, maxTokens int) {
	for _, n := range lengths {
		b.pending = append(b.pending, b.prompts.request(n, maxTokens))
		b.waiting = append(b.waiting, &sequence{prompt: n, maxOutputs: maxTokens})
	}
}

// run adds an Op of op's settings and n steps in the given role.
func (b *builder) run(role Role, n int, op engine.Op) {
	op.Submit, b.pending = b.pending, nil
	op.Steps = n
	steps := make([]planned, n)
	for i := range steps {
		b.steps++
		steps[i] = b.step(op.Limits.Tokens, b.steps)
		steps[i].role = role
	}
	planned := plannedOp{steps: steps}
	if op.Profile {
		planned.burst = b.bursts
	}
	if role == RoleMeasure {
		b.measured += n
	}
	if op.Abort {
		b.clear()
	}
	b.script.Ops = append(b.script.Ops, op)
	b.plan = append(b.plan, planned)
}
