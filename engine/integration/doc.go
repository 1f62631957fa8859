// Package integration tests package engine against real vLLM. Its tests need
// the tag "integration", the environment of make setup, the shim of make build
// and the model of make model.
package integration
