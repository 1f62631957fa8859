/* Libraries loaded by an engine install signal handlers without SA_ONSTACK
 * (libtvm_ffi takes SIGSEGV), which crashes a Go host when the signal arrives
 * on a goroutine's stack (github.com/yalue/onnxruntime_go issue 140). What was
 * in force before the interpreter started is put back after the engine is up. */
#include "internal.h"

#include <signal.h>

enum { SIGNALS = 65 };
static struct sigaction saved[SIGNALS];
static int known[SIGNALS];

void sb_signals_save(void) {
  for (int s = 1; s < SIGNALS; s++) known[s] = sigaction(s, NULL, &saved[s]) == 0;
}

void sb_signals_restore(void) {
  for (int s = 1; s < SIGNALS; s++)
    if (known[s] && s != SIGKILL && s != SIGSTOP) sigaction(s, &saved[s], NULL);
}
