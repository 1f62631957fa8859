// Package capacity estimates, on paper, what a model needs of devices one may not
// have: whether it fits, how many sequences, and how fast it could be at most and,
// from figures measured on one device, how fast it should be.
//
// Nothing here is measured. Memory follows vLLM 0.26's own accounts
// (vllm/v1/worker/gpu_worker.py), time the roofline (Williams et al. 2009,
// "Roofline: an insightful visual performance model", doi:10.1145/1498765.1498785).
package capacity
