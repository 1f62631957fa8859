// Package numerics says whether two builds of vLLM's kernels give the same
// answers.
//
// Both arms generate greedily from the same prompts, submitted together and in
// order, so that their batches are equal. Three things are compared: the tokens;
// the logprobs of the decode path, up to and including the first token that
// differs, for until there both arms had the same input; and the logprobs of the
// prefill path, for which both arms score A's continuations with every token
// after A's true ones (teacher-forced), so that one flipped token does not
// cascade. What repeats of A against itself differ by is the floor.
//
// Logprobs are natural logarithms; their differences are in nats. An engine of random
// weights is better asked for logits, see [EngineArgs]; what is said of logprobs is
// then true of those.
package numerics
