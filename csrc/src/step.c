/* One step: stamps, the engine's own step(), and the walk over its outputs into
 * an arena. Two arenas alternate, so that a view outlives one further step. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

typedef struct arena {
  sb_output *outputs;
  int32_t *tokens;
  double *stats;
  int64_t output_cap, token_cap, stats_cap; /* stats in rows */
  int64_t output_count, token_count, stats_count;
} arena;

static arena arenas[2];

/* Makes room for `need` elements in total; 0 on success. */
static int grow(void **data, int64_t *cap, int64_t need, size_t size) {
  if (need <= *cap) return 0;
  int64_t want = *cap ? *cap : 64;
  while (want < need) want *= 2;
  void *more = realloc(*data, (size_t)want * size);
  if (!more) {
    PyErr_NoMemory();
    return -1;
  }
  *data = more;
  *cap = want;
  return 0;
}

/* Attribute names, interned once: they are looked up for every output. */
static struct {
  PyObject *request_id, *outputs, *token_ids, *finished, *finish_reason;
} names;

static int intern(void) {
  if (names.finish_reason) return 0;
  names.request_id = PyUnicode_InternFromString("request_id");
  names.outputs = PyUnicode_InternFromString("outputs");
  names.token_ids = PyUnicode_InternFromString("token_ids");
  names.finished = PyUnicode_InternFromString("finished");
  names.finish_reason = PyUnicode_InternFromString("finish_reason");
  return names.request_id && names.outputs && names.token_ids && names.finished && names.finish_reason ? 0 : -1;
}

/* Request ids are decimal numbers that the caller chose. */
static int read_id(PyObject *item, int64_t *id) {
  PyObject *text = PyObject_GetAttr(item, names.request_id);
  const char *digits = text ? PyUnicode_AsUTF8(text) : NULL;
  char *end = NULL;
  if (digits) *id = strtoll(digits, &end, 10);
  int good = digits && end != digits && *end == '\0';
  if (digits && !good) PyErr_Format(PyExc_ValueError, "request id %R is not a number", text);
  Py_XDECREF(text);
  return good ? 0 : -1;
}

static int append_tokens(arena *a, PyObject *ids, sb_output *out) {
  PyObject *seq = PySequence_Fast(ids, "token_ids is not a sequence");
  if (!seq) return -1;
  Py_ssize_t count = PySequence_Fast_GET_SIZE(seq);
  int bad = grow((void **)&a->tokens, &a->token_cap, a->token_count + count, sizeof *a->tokens);
  out->token_off = (int32_t)a->token_count;
  out->token_len = (int32_t)count;
  for (Py_ssize_t i = 0; !bad && i < count; i++) {
    long token = PyLong_AsLong(PySequence_Fast_GET_ITEM(seq, i));
    if (token == -1 && PyErr_Occurred()) bad = -1;
    else a->tokens[a->token_count++] = (int32_t)token;
  }
  Py_DECREF(seq);
  return bad;
}

static int32_t finish_code(PyObject *reason) {
  const char *word = PyUnicode_Check(reason) ? PyUnicode_AsUTF8(reason) : NULL;
  if (!word) return SB_FAILED;
  if (strcmp(word, "stop") == 0) return SB_STOP;
  if (strcmp(word, "length") == 0) return SB_LENGTH;
  if (strcmp(word, "abort") == 0) return SB_ABORT;
  return SB_FAILED;
}

/* The adapter turns an ended output into SB_STATS floats. */
static int append_stats(arena *a, PyObject *item, sb_output *out) {
  if (grow((void **)&a->stats, &a->stats_cap, a->stats_count + 1, SB_STATS * sizeof *a->stats)) return -1;
  PyObject *values = PyObject_CallOneArg(sb.finish, item);
  if (!values) return -1;
  int bad = !PyTuple_Check(values) || PyTuple_GET_SIZE(values) != SB_STATS;
  if (bad) PyErr_Format(PyExc_TypeError, "the adapter's finish() must return %d floats", SB_STATS);
  double *row = a->stats + a->stats_count * SB_STATS;
  for (int i = 0; !bad && i < SB_STATS; i++) {
    row[i] = PyFloat_AsDouble(PyTuple_GET_ITEM(values, i));
    if (row[i] == -1.0 && PyErr_Occurred()) bad = 1;
  }
  Py_DECREF(values);
  if (bad) return -1;
  out->stats = (int32_t)a->stats_count++;
  return 0;
}

static int walk_one(arena *a, PyObject *item) {
  if (grow((void **)&a->outputs, &a->output_cap, a->output_count + 1, sizeof *a->outputs)) return -1;
  sb_output *out = &a->outputs[a->output_count];
  *out = (sb_output){.stats = -1};
  if (read_id(item, &out->id)) return -1;

  PyObject *list = PyObject_GetAttr(item, names.outputs);
  PyObject *first = list ? PySequence_GetItem(list, 0) : NULL;
  PyObject *ids = first ? PyObject_GetAttr(first, names.token_ids) : NULL;
  PyObject *finished = ids ? PyObject_GetAttr(item, names.finished) : NULL;
  int ended = finished ? PyObject_IsTrue(finished) : -1;
  int bad = ended < 0 || append_tokens(a, ids, out) != 0;
  if (!bad && ended) {
    PyObject *reason = PyObject_GetAttr(first, names.finish_reason);
    bad = !reason;
    if (reason) out->finish = finish_code(reason);
    Py_XDECREF(reason);
    bad = bad || append_stats(a, item, out) != 0;
  }
  Py_XDECREF(finished);
  Py_XDECREF(ids);
  Py_XDECREF(first);
  Py_XDECREF(list);
  if (!bad) a->output_count++;
  return bad ? -1 : 0;
}

static int walk(arena *a, PyObject *results) {
  a->output_count = a->token_count = a->stats_count = 0;
  PyObject *seq = PySequence_Fast(results, "step() did not return a sequence");
  if (!seq) return -1;
  int bad = 0;
  Py_ssize_t count = PySequence_Fast_GET_SIZE(seq);
  for (Py_ssize_t i = 0; !bad && i < count; i++) bad = walk_one(a, PySequence_Fast_GET_ITEM(seq, i));
  Py_DECREF(seq);
  return bad;
}

static int set_limits(int64_t tokens, int64_t seqs) {
  if (tokens == sb.token_limit && seqs == sb.seq_limit) return 0;
  PyObject *done = PyObject_CallFunction(sb.limits, "LL", (long long)tokens, (long long)seqs);
  if (!done) return -1;
  Py_DECREF(done);
  sb.token_limit = tokens;
  sb.seq_limit = seqs;
  return 0;
}

static int32_t step_locked(int64_t tokens, int64_t seqs, arena *a, sb_view *out) {
  if (!sb.step) return sb_fail(SB_ESTATE, "StateError", "no engine is open");
  if (intern() || set_limits(tokens, seqs)) return sb_fail_python();
  memset(sb.counters.buf, 0, SB_COUNTERS * sizeof(int64_t));

  out->call_ns = sb_clock();
  PyObject *results = PyObject_CallNoArgs(sb.step);
  out->return_ns = sb_clock();
  if (!results) return sb_fail_python();

  PyObject *done = PyObject_CallNoArgs(sb.after);
  int bad = !done || walk(a, results) != 0;
  Py_XDECREF(done);
  Py_DECREF(results);
  return bad ? sb_fail_python() : SB_OK;
}

int32_t sb_step(int64_t token_limit, int64_t seq_limit, sb_view *out) {
  static unsigned turn;
  int64_t enter = sb_clock();
  int32_t code = sb_enter();
  if (code != SB_OK) return code;
  arena *a = &arenas[turn++ & 1];
  *out = (sb_view){.enter_ns = enter, .gil_ns = sb_clock()};
  code = step_locked(token_limit, seq_limit, a, out);
  if (code == SB_OK) {
    out->outputs = a->outputs;
    out->tokens = a->tokens;
    out->stats = a->stats;
    out->output_count = a->output_count;
    out->token_count = a->token_count;
    out->stats_count = a->stats_count;
    memcpy(out->counters, sb.counters.buf, sizeof out->counters);
  }
  sb_leave();
  out->exit_ns = sb_clock();
  return code;
}
