/* Opening the engine, submitting to it, and the control channel. */
#include "internal.h"

/* The names that the object returned by the adapter's open() must have. */
static const struct {
  const char *name;
  PyObject **slot;
} wanted[] = {
    {"step", &sb.step},     {"after", &sb.after},   {"set_limits", &sb.limits},
    {"submit", &sb.submit}, {"params", &sb.params}, {"finish", &sb.finish},
    {"call", &sb.call},
};
enum { WANTED = sizeof wanted / sizeof wanted[0] };

/* Half an engine counts as none: the entries look at their own slot only. */
static void unbind(void) {
  for (int i = 0; i < WANTED; i++) Py_CLEAR(*wanted[i].slot);
  PyBuffer_Release(&sb.counters);
}

static int32_t bind(PyObject *engine) {
  for (int i = 0; i < WANTED; i++)
    if (!(*wanted[i].slot = PyObject_GetAttrString(engine, wanted[i].name))) return sb_fail_python();

  PyObject *cells = PyObject_GetAttrString(engine, "counters");
  if (!cells) return sb_fail_python();
  int bad = PyObject_GetBuffer(cells, &sb.counters, PyBUF_WRITABLE | PyBUF_FORMAT) != 0;
  Py_DECREF(cells);
  if (bad) return sb_fail_python();
  if (sb.counters.len != SB_COUNTERS * (Py_ssize_t)sizeof(int64_t))
    return sb_fail(SB_EABI, "ABIError", "the adapter has %zd bytes of counters, the shim wants %zu",
                   sb.counters.len, SB_COUNTERS * sizeof(int64_t));
  return SB_OK;
}

static int32_t open_locked(const char *config, const char **info) {
  PyObject *engine = PyObject_CallMethod(sb.module, "open", "s", config);
  if (!engine) return sb_fail_python();
  int32_t code = bind(engine);
  if (code == SB_OK) {
    PyObject *text = PyObject_GetAttrString(engine, "info");
    *info = sb_keep(SB_KEEP_INFO, text);
    Py_XDECREF(text);
    if (!*info) code = sb_fail_python();
  }
  if (code != SB_OK) unbind();
  Py_DECREF(engine); /* the bound methods keep it */
  return code;
}

int32_t sb_open(const char *config, const char **info) {
  int32_t code = sb_enter();
  if (code != SB_OK) return code;
  if (!sb.module) code = sb_fail(SB_ESTATE, "StateError", "the adapter is not imported");
  else if (sb.step) code = sb_fail(SB_ESTATE, "StateError", "an engine is open already; a process holds one");
  else code = open_locked(config, info);
  sb_leave();
  sb_signals_restore();
  return code;
}

static PyObject *token_list(const int32_t *tokens, int64_t count) {
  PyObject *list = PyList_New(count);
  for (int64_t i = 0; list && i < count; i++) {
    PyObject *token = PyLong_FromLong(tokens[i]);
    if (!token) Py_CLEAR(list);
    else PyList_SET_ITEM(list, i, token);
  }
  return list;
}

static int32_t submit_one(const sb_batch *b, int64_t i, PyObject *params) {
  PyObject *one = PySequence_GetItem(params, b->params[i]);
  PyObject *tokens = one ? token_list(b->tokens + b->offsets[i], b->offsets[i + 1] - b->offsets[i]) : NULL;
  PyObject *done = NULL;
  if (tokens)
    done = PyObject_CallFunction(sb.submit, "LOOd", (long long)b->ids[i], tokens, one, b->arrivals[i]);
  Py_XDECREF(tokens);
  Py_XDECREF(one);
  if (!done) return sb_fail_python();
  Py_DECREF(done);
  return SB_OK;
}

int32_t sb_submit(const sb_batch *batch, int64_t *accepted) {
  *accepted = 0;
  int32_t code = sb_enter();
  if (code != SB_OK) return code;
  PyObject *params = NULL;
  if (!sb.submit) code = sb_fail(SB_ESTATE, "StateError", "no engine is open");
  else if (!(params = PyObject_CallFunction(sb.params, "s", batch->params_json))) code = sb_fail_python();
  while (code == SB_OK && *accepted < batch->count) {
    code = submit_one(batch, *accepted, params);
    if (code == SB_OK) ++*accepted;
  }
  Py_XDECREF(params);
  sb_leave();
  return code;
}

int32_t sb_call(const char *method, const char *args, const char **reply) {
  int32_t code = sb_enter();
  if (code != SB_OK) return code;
  if (!sb.call) {
    code = sb_fail(SB_ESTATE, "StateError", "no engine is open");
  } else {
    PyObject *text = PyObject_CallFunction(sb.call, "ss", method, args);
    *reply = text ? sb_keep(SB_KEEP_REPLY, text) : NULL;
    Py_XDECREF(text);
    if (!*reply) code = sb_fail_python();
  }
  sb_leave();
  return code;
}
