/* The one truth of the ABI between Go (package bridge) and the shim.
 *
 * The shim embeds CPython, imports an adapter module and calls into it. It
 * knows Python objects, never a policy: what is opened, which requests exist
 * and when to step is decided by the caller.
 *
 * Threads: every function except the sb_abi_* and sb_build_* ones must be
 * called on the thread that called sb_start. The interpreter lock is held only
 * inside a call.
 * Errors: functions return SB_OK or a negative SB_E*; sb_last_error describes
 * the last failure on this thread.
 * Memory: pointers passed in are not kept. Pointers handed out belong to the
 * shim and live until the next call of the same function, those of sb_step
 * until the next-but-one.
 * Times: int64 nanoseconds of CLOCK_MONOTONIC.
 */
#ifndef STEPBENCH_H
#define STEPBENCH_H

#include <stdint.h>

#define SB_ABI_VERSION 1
#define SB_COUNTERS 24 /* int64 cells that the adapter fills for each step */
#define SB_STATS 10    /* doubles that the adapter gives for an ended request */

#if defined(__GNUC__)
#define SB_API __attribute__((visibility("default")))
#else
#define SB_API
#endif

enum {
  SB_OK = 0,
  SB_EPYTHON = -1, /* a Python exception: see sb_last_error */
  SB_EABI = -2,    /* caller and shim disagree on a size or an offset */
  SB_ETHREAD = -3, /* called on another thread than sb_start */
  SB_ESTATE = -4,  /* called out of order */
  SB_EINIT = -5,   /* the interpreter did not start, or is not the one meant */
  SB_EMEMORY = -6, /* allocation failed */
};

enum { SB_UNFINISHED = 0, SB_STOP = 1, SB_LENGTH = 2, SB_ABORT = 3, SB_FAILED = 4 };

typedef struct sb_error {
  const char *type;      /* "ValueError", or the shim's own word; never NULL */
  const char *message;   /* one line or more; never NULL */
  const char *traceback; /* as Python prints it; empty if there is none */
} sb_error;

typedef struct sb_start_options {
  const char *program;     /* path of the venv's python: decides sys.prefix */
  const char *module_path; /* folder put first on sys.path */
  const char *module;      /* adapter module; its open() makes the engine */
} sb_start_options;

/* Requests to submit, packed. Request i has the tokens
 * tokens[offsets[i] .. offsets[i+1]). */
typedef struct sb_batch {
  int64_t count;
  const int64_t *ids;
  const int64_t *offsets; /* count + 1 */
  const int32_t *tokens;
  const int32_t *params;   /* index into params_json's array, for each request */
  const double *arrivals;  /* wall clock, seconds, for each request */
  const char *params_json; /* array of sampling parameter objects */
} sb_batch;

typedef struct sb_output {
  int64_t id;
  int32_t token_off; /* index of its first new token in sb_view.tokens */
  int32_t token_len;
  int32_t finish; /* SB_UNFINISHED … SB_FAILED */
  int32_t stats;  /* row of sb_view.stats, or -1 */
} sb_output;

typedef struct sb_view {
  int64_t enter_ns;  /* the shim was entered */
  int64_t gil_ns;    /* the interpreter lock was taken */
  int64_t call_ns;   /* the engine's step was called */
  int64_t return_ns; /* it returned */
  int64_t exit_ns;   /* outputs walked, lock released */
  int64_t output_count;
  int64_t token_count;
  int64_t stats_count;
  const sb_output *outputs;
  const int32_t *tokens;
  const double *stats; /* stats_count rows of SB_STATS */
  int64_t counters[SB_COUNTERS];
} sb_view;

/* The layout of the structs above as (name, value) pairs. sb_abi_check compares
 * the caller's values, in the same order, with the shim's: the index of the
 * first difference, or -1. */
SB_API int32_t sb_abi_count(void);
SB_API const char *sb_abi_name(int32_t i);
SB_API int64_t sb_abi_value(int32_t i);
SB_API int32_t sb_abi_check(const int64_t *host, int32_t count);

/* The Python that the shim was compiled against: "3.12.3", "/usr". */
SB_API const char *sb_build_python(void);
SB_API const char *sb_build_prefix(void);

SB_API void sb_last_error(sb_error *out);
SB_API int64_t sb_now_ns(void);

/* Starts the interpreter, which is never finalized, or attaches to the one that
 * runs already when the host is a python executable; then imports the adapter.
 * The calling thread must not hold the interpreter lock. */
SB_API int32_t sb_start(const sb_start_options *options);

/* Opens the engine from a JSON object; *info is a JSON object. Afterwards the
 * signal handlers in force at sb_start are put back. */
SB_API int32_t sb_open(const char *config, const char **info);

/* Submits requests in order. *accepted counts those taken before the first that
 * failed; on SB_EPYTHON the request at that index was refused. */
SB_API int32_t sb_submit(const sb_batch *batch, int64_t *accepted);

/* One step of the engine under the given limits (0: the engine's own). */
SB_API int32_t sb_step(int64_t token_limit, int64_t seq_limit, sb_view *out);

/* Calls the adapter's control method with a JSON value; *reply is JSON. */
SB_API int32_t sb_call(const char *method, const char *args, const char **reply);

#endif
