/* Starts CPython as the venv's python would be, and guards every entry. */
#include "internal.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

sb_state sb;

int64_t sb_clock(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t sb_now_ns(void) { return sb_clock(); }

int32_t sb_enter(void) {
  if (!sb.started) return sb_fail(SB_ESTATE, "StateError", "the interpreter is not started");
  if (!pthread_equal(sb.thread, pthread_self()))
    return sb_fail(SB_ETHREAD, "ThreadError", "called on another thread than the one that started Python");
  PyEval_RestoreThread(sb.tstate);
  return SB_OK;
}

void sb_leave(void) { sb.tstate = PyEval_SaveThread(); }

const char *sb_keep(int slot, PyObject *text) {
  static PyObject *kept[SB_KEEP_SLOTS];
  Py_XDECREF(kept[slot]);
  Py_XINCREF(text);
  kept[slot] = text;
  return text ? PyUnicode_AsUTF8(text) : NULL;
}

static int32_t fail_status(PyStatus status) {
  return sb_fail(SB_EINIT, "InitError", "%s: %s", status.func ? status.func : "Python",
                 status.err_msg ? status.err_msg : "failed");
}

static int32_t configure(const char *program) {
  PyPreConfig pre;
  PyPreConfig_InitPythonConfig(&pre);
  pre.utf8_mode = 1;
  PyStatus status = Py_PreInitialize(&pre);
  if (PyStatus_Exception(status)) return fail_status(status);

  PyConfig config;
  PyConfig_InitPythonConfig(&config);
  config.parse_argv = 0;
  config.install_signal_handlers = 0; /* SIGINT stays the host's */
  config.user_site_directory = 0;
  config.buffered_stdio = 0;
  /* vLLM reads sys.argv[0]. */
  char *argv[] = {"stepbench"};
  status = PyConfig_SetBytesArgv(&config, 1, argv);
  if (!PyStatus_Exception(status))
    status = PyConfig_SetBytesString(&config, &config.program_name, program);
  if (!PyStatus_Exception(status)) status = Py_InitializeFromConfig(&config);
  PyConfig_Clear(&config);
  return PyStatus_Exception(status) ? fail_status(status) : SB_OK;
}

/* A libpython of another build than the venv's fails later and strangely ("No
 * module named 'math'"), and a wrong program path is no error to CPython at
 * all: both are refused here. */
static int32_t check_interpreter(const char *program) {
  PyObject *base = PySys_GetObject("base_prefix"), *exe = PySys_GetObject("executable");
  const char *b = base ? PyUnicode_AsUTF8(base) : NULL;
  const char *e = exe && PyUnicode_Check(exe) ? PyUnicode_AsUTF8(exe) : NULL;
  if (!b || !e) {
    PyErr_Clear();
    return sb_fail(SB_EINIT, "InitError", "Python gives no sys.base_prefix or sys.executable");
  }
  if (strcmp(b, SB_PY_BASE_PREFIX) != 0)
    return sb_fail(SB_EINIT, "InitError", "%s belongs to the Python in %s, the shim was built for %s in %s",
                   program, b, SB_PY_VERSION, SB_PY_BASE_PREFIX);
  if (strcmp(e, program) != 0)
    return sb_fail(SB_EINIT, "InitError", "sys.executable is %s, want %s", e, program);
  return SB_OK;
}

static int32_t import_adapter(const char *path, const char *name) {
  PyObject *sys_path = PySys_GetObject("path"); /* borrowed */
  PyObject *folder = PyUnicode_DecodeFSDefault(path);
  int bad = !folder || !sys_path || PyList_Insert(sys_path, 0, folder) != 0;
  Py_XDECREF(folder);
  if (!bad) sb.module = PyImport_ImportModule(name);
  return bad || !sb.module ? sb_fail_python() : SB_OK;
}

int32_t sb_start(const sb_start_options *options) {
  if (sb.started) return sb_fail(SB_ESTATE, "StateError", "Python is started already");
  if (!options || !options->program || !options->module_path || !options->module)
    return sb_fail(SB_ESTATE, "StateError", "a start option is missing");
  /* CPython would start without it and take another's prefix. */
  if (access(options->program, X_OK) != 0)
    return sb_fail(SB_EINIT, "InitError", "%s: %s", options->program, strerror(errno));
  sb_clear_error();
  sb_signals_save();
  int32_t code;
  if (Py_IsInitialized()) {
    /* Inside a python executable: take the lock with this thread's own state,
     * which is then given up and taken back like one made here. */
    PyGILState_Ensure();
  } else {
    code = configure(options->program);
    if (code != SB_OK) return code;
  }
  code = check_interpreter(options->program);
  if (code == SB_OK) code = import_adapter(options->module_path, options->module);
  sb.thread = pthread_self();
  sb.started = 1;
  sb_leave();
  sb_signals_restore();
  return code;
}
