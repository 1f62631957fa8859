/* The last error, formatted inside the call that failed: type, message and
 * Python's own traceback. PyErr_Print is avoided because it exits the process
 * on SystemExit. */
#include "internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Per thread: a call on a wrong thread must not free what the right one reads. */
static _Thread_local struct {
  char type[256];
  char *message, *traceback; /* owned; NULL reads as empty */
} last;

static void set(char **slot, const char *text) {
  free(*slot);
  *slot = text ? strdup(text) : NULL;
}

static void record(const char *type, const char *message, const char *traceback) {
  snprintf(last.type, sizeof last.type, "%s", type);
  set(&last.message, message);
  set(&last.traceback, traceback);
}

void sb_clear_error(void) { record("", NULL, NULL); }

void sb_last_error(sb_error *out) {
  out->type = last.type;
  out->message = last.message ? last.message : "";
  out->traceback = last.traceback ? last.traceback : "";
}

int32_t sb_fail(int32_t code, const char *type, const char *format, ...) {
  char text[1024];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  record(type, text, NULL);
  return code;
}

/* UTF-8 of a str, or NULL. Messages quote foreign text, which may hold lone
 * surrogates: those are escaped instead of losing the message. */
static PyObject *utf8(PyObject *text) {
  PyObject *bytes = text ? PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace") : NULL;
  if (!bytes) PyErr_Clear();
  return bytes;
}

/* traceback.format_exception(type, value, tb) joined, or NULL. */
static PyObject *format(PyObject *type, PyObject *value, PyObject *tb) {
  PyObject *text = NULL, *lines = NULL, *empty = NULL;
  PyObject *module = PyImport_ImportModule("traceback");
  if (module)
    lines = PyObject_CallMethod(module, "format_exception", "OOO", type,
                                value ? value : Py_None, tb ? tb : Py_None);
  if (lines && (empty = PyUnicode_FromString(""))) text = PyUnicode_Join(empty, lines);
  Py_XDECREF(empty);
  Py_XDECREF(lines);
  Py_XDECREF(module);
  if (!text) PyErr_Clear();
  return text;
}

int32_t sb_fail_python(void) {
  PyObject *type, *value, *tb;
  PyErr_Fetch(&type, &value, &tb);
  if (!type) return sb_fail(SB_EPYTHON, "SystemError", "a call failed without an exception");
  PyErr_NormalizeException(&type, &value, &tb);
  PyObject *message = value ? PyObject_Str(value) : NULL;
  if (!message) PyErr_Clear();
  PyObject *text = format(type, value, tb);
  PyObject *m = utf8(message), *t = utf8(text);
  record(PyExceptionClass_Name(type), m ? PyBytes_AS_STRING(m) : "(no message)", t ? PyBytes_AS_STRING(t) : NULL);
  Py_XDECREF(t);
  Py_XDECREF(m);
  Py_XDECREF(text);
  Py_XDECREF(message);
  Py_XDECREF(tb);
  Py_XDECREF(value);
  Py_DECREF(type);
  return SB_EPYTHON;
}
