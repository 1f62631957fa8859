// Package enginetest has a scripted engine for unit tests: [Fake] is an
// engine.Stepper whose steps take as long, fail and refuse as the test says, in
// the virtual time of a [Clock]. [Engine] wraps it as a whole engine.Engine.
// The product never imports it.
package enginetest
