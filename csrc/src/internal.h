/* State and helpers shared by the shim's source files. */
#ifndef SB_INTERNAL_H
#define SB_INTERNAL_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <pthread.h>

#include "stepbench.h"

typedef struct sb_state {
  int started;
  pthread_t thread;
  PyThreadState *tstate; /* saved while the lock is not held */
  PyObject *module;      /* the adapter */
  PyObject *step;        /* the engine's bound step() */
  PyObject *after;       /* adapter: fills the counters after a step */
  PyObject *limits;      /* adapter: sets token and sequence limits */
  PyObject *submit;      /* adapter: (id, tokens, params, arrival) */
  PyObject *params;      /* adapter: JSON -> list of sampling parameters */
  PyObject *finish;      /* adapter: output -> tuple of SB_STATS floats */
  PyObject *call;        /* adapter: (method, JSON) -> JSON */
  Py_buffer counters;    /* SB_COUNTERS int64 owned by the adapter */
  int64_t token_limit, seq_limit; /* last given to the adapter */
} sb_state;

extern sb_state sb;

int64_t sb_clock(void);

/* error.c: each records the error and returns the code. */
int32_t sb_fail(int32_t code, const char *type, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int32_t sb_fail_python(void); /* takes the pending exception; lock held */
void sb_clear_error(void);

/* python.c: every entry takes the lock with sb_enter and leaves by sb_leave. */
int32_t sb_enter(void);
void sb_leave(void);

/* Returns text as a string that lives until the next call with this slot. */
enum { SB_KEEP_INFO, SB_KEEP_REPLY, SB_KEEP_SLOTS };
const char *sb_keep(int slot, PyObject *text);

/* signals.c */
void sb_signals_save(void);
void sb_signals_restore(void);

#endif
