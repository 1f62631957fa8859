/* Drives the shim from plain C, with the fake vllm, so that AddressSanitizer
 * sees all of its memory: shim_test PYTHON, in the folder csrc.
 *
 * What is handed to the shim is allocated to the byte, and what it hands out is
 * read to the last element, as long as the header promises it. */
#include "stepbench.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int checks;

static void check(int good, const char *what, const char *file, int line) {
  checks++;
  if (good) return;
  sb_error e;
  sb_last_error(&e);
  fprintf(stderr, "%s:%d: not true: %s\nlast error: %s: %s\n%s", file, line, what, e.type, e.message, e.traceback);
  exit(1);
}

#define CHECK(condition) check(!!(condition), #condition, __FILE__, __LINE__)
#define CHECK_ERROR(call, code, type, message) \
  check((call) == (code) && last_error_is(type, message), #call " fails with " type, __FILE__, __LINE__)

/* The last error has this type and this text in its message. */
static int last_error_is(const char *type, const char *message) {
  sb_error e;
  sb_last_error(&e);
  return strcmp(e.type, type) == 0 && strstr(e.message, message) != NULL;
}

static int last_traceback_has(const char *text) {
  sb_error e;
  sb_last_error(&e);
  return strstr(e.traceback, text) != NULL;
}

/* ---- batches ---- */

static void *copy(const void *data, size_t size) {
  void *p = malloc(size);
  CHECK(p);
  return memcpy(p, data, size);
}

/* Submits requests id, id + 1, … of `length` tokens, all with the value `token`. */
static int32_t submit(int64_t id, int64_t count, int64_t length, int32_t token, const char *params, int64_t *accepted) {
  int64_t *ids = malloc((size_t)count * sizeof *ids);
  int64_t *offsets = malloc((size_t)(count + 1) * sizeof *offsets);
  int32_t *tokens = malloc((size_t)(count * length) * sizeof *tokens);
  int32_t *indexes = calloc((size_t)count, sizeof *indexes);
  double *arrivals = malloc((size_t)count * sizeof *arrivals);
  char *json = copy(params, strlen(params) + 1);
  CHECK(ids && offsets && tokens && indexes && arrivals);
  for (int64_t i = 0; i < count; i++) ids[i] = id + i, arrivals[i] = 0.5 + (double)i;
  for (int64_t i = 0; i <= count; i++) offsets[i] = i * length;
  for (int64_t i = 0; i < count * length; i++) tokens[i] = token;
  sb_batch batch = {count, ids, offsets, tokens, indexes, arrivals, json};
  int32_t code = sb_submit(&batch, accepted);
  free(ids), free(offsets), free(tokens), free(indexes), free(arrivals), free(json); /* nothing is kept */
  return code;
}

static void abort_requests(int64_t first, int64_t count) {
  size_t size = 2 + (size_t)count * 21, used = 0;
  char *ids = malloc(size);
  CHECK(ids);
  for (int64_t i = 0; i < count; i++)
    used += (size_t)snprintf(ids + used, size - used, "%c%lld", i ? ',' : '[', (long long)(first + i));
  snprintf(ids + used, size - used, "]");
  const char *reply = NULL;
  CHECK(sb_call("abort", ids, &reply) == SB_OK && reply[0] == '{');
  free(ids);
}

/* ---- tests, in the order of a process's life ---- */

static void test_abi(void) {
  int32_t n = sb_abi_count();
  CHECK(n > 30);
  int64_t *words = malloc((size_t)(n + 1) * sizeof *words);
  CHECK(words);
  for (int32_t i = 0; i < n; i++) {
    CHECK(sb_abi_name(i)[0] != '\0');
    words[i] = sb_abi_value(i);
  }
  CHECK(sb_abi_check(words, n) == -1);
  for (int32_t i = 0; i < n; i++) {
    words[i]++;
    CHECK(sb_abi_check(words, n) == i);
    words[i]--;
  }
  words[n] = 0;
  CHECK(sb_abi_check(words, n + 1) == n);
  int64_t *fewer = copy(words, (size_t)(n - 1) * sizeof *words);
  CHECK(sb_abi_check(fewer, n - 1) == n - 1);
  CHECK(sb_abi_check(NULL, 0) == 0);
  free(fewer), free(words);
  CHECK(sb_abi_value(-1) == -1 && sb_abi_name(-1)[0] == '\0');
  CHECK(sb_abi_value(n) == -1 && sb_abi_name(n)[0] == '\0');
  CHECK(sb_build_python()[0] == '3' && sb_build_prefix()[0] == '/');
  int64_t now = sb_now_ns();
  CHECK(now > 0 && sb_now_ns() >= now);
}

static void test_before_start(void) {
  sb_error e;
  sb_last_error(&e);
  CHECK(e.type[0] == '\0' && e.message[0] == '\0' && e.traceback[0] == '\0');

  sb_view view;
  const char *text = NULL;
  int64_t accepted = 5;
  CHECK_ERROR(sb_step(0, 0, &view), SB_ESTATE, "StateError", "not started");
  CHECK_ERROR(sb_open("{}", &text), SB_ESTATE, "StateError", "not started");
  CHECK_ERROR(sb_call("threads", "null", &text), SB_ESTATE, "StateError", "not started");
  CHECK_ERROR(submit(1, 1, 1, 1, "[{}]", &accepted), SB_ESTATE, "StateError", "not started");
  CHECK(accepted == 0 && text == NULL);
}

static void test_start(const char *python) {
  char path[4096];
  snprintf(path, sizeof path, "%s-missing", python);
  CHECK_ERROR(sb_start(NULL), SB_ESTATE, "StateError", "option");
  CHECK_ERROR(sb_start(&(sb_start_options){python, NULL, "m"}), SB_ESTATE, "StateError", "option");
  CHECK_ERROR(sb_start(&(sb_start_options){path, "adapter", "m"}), SB_EINIT, "InitError", "No such file");

  char *program = copy(python, strlen(python) + 1), *folder = copy("adapter", 8), *module = copy("stepbench_adapter", 18);
  sb_start_options options = {program, folder, module};
  CHECK(sb_start(&options) == SB_OK);
  free(program), free(folder), free(module);
  CHECK_ERROR(sb_start(&options), SB_ESTATE, "StateError", "started already");
}

static void test_open(void) {
  sb_view view;
  const char *text = NULL;
  int64_t accepted;
  CHECK_ERROR(sb_step(0, 0, &view), SB_ESTATE, "StateError", "no engine");
  CHECK_ERROR(sb_call("threads", "null", &text), SB_ESTATE, "StateError", "no engine");
  CHECK_ERROR(submit(1, 1, 1, 1, "[{}]", &accepted), SB_ESTATE, "StateError", "no engine");

  CHECK_ERROR(sb_open("{", &text), SB_EPYTHON, "JSONDecodeError", "Expecting");
  CHECK_ERROR(sb_open("{}", &text), SB_EPYTHON, "KeyError", "model");
  CHECK_ERROR(sb_open("\xff", &text), SB_EPYTHON, "UnicodeDecodeError", "0xff");
  CHECK_ERROR(sb_open("{\"model\": {\"name\": \"m\", \"path\": \"\\ud800 unknown\"}}", &text), SB_EPYTHON, "OSError",
              "\\ud800 unknown is not a local folder");
  CHECK(last_traceback_has("arg_utils.py"));
  CHECK(text == NULL);

  const char *config =
      "{\"model\": {\"name\": \"m\", \"path\": \"fake\"}, \"max_num_seqs\": 4096, \"max_num_batched_tokens\": 100000}";
  CHECK(sb_open(config, &text) == SB_OK);
  CHECK(strstr(text, "\"max_num_seqs\": 4096"));
  const char *other = NULL;
  CHECK_ERROR(sb_open(config, &other), SB_ESTATE, "StateError", "open already");
  CHECK(text[strlen(text) - 1] == '}');
}

/* Reads everything that a step of `count` requests gave, all with the same
 * one token. */
static void check_view(const sb_view *v, int64_t first, int64_t count, int32_t token, int32_t finish) {
  CHECK(v->output_count == count && v->token_count == count && v->stats_count == (finish ? count : 0));
  for (int64_t i = 0; i < count; i++) {
    const sb_output *o = &v->outputs[i];
    CHECK(o->id == first + i && o->token_off == i && o->token_len == 1 && o->finish == finish);
    CHECK(v->tokens[i] == token);
    CHECK(o->stats == (finish ? i : -1));
    if (finish) {
      CHECK(v->stats[o->stats * SB_STATS] == 0.5 + (double)i);     /* arrival */
      CHECK(v->stats[o->stats * SB_STATS + SB_STATS - 1] == 0.0); /* spare */
    }
  }
  CHECK(v->enter_ns <= v->gil_ns && v->gil_ns <= v->call_ns && v->call_ns <= v->return_ns && v->return_ns <= v->exit_ns);
}

/* More and more requests, so that each arena grows several times, and the
 * first of the two views is read when the second is there. */
static void test_steps(void) {
  int64_t accepted, first = 1;
  sb_view one, two;
  for (int64_t count = 1; count <= 3000; count = count * 3 + 1) {
    CHECK(submit(first, count, 4, 5, "[{\"max_tokens\": 2}]", &accepted) == SB_OK && accepted == count);
    CHECK(sb_step(0, 0, &one) == SB_OK);
    CHECK(one.counters[6] == count && one.counters[7] == 4 * count); /* context requests and tokens */
    CHECK(sb_step(0, 0, &two) == SB_OK);
    CHECK(two.counters[8] == count && two.counters[9] == count); /* generation requests and tokens */
    check_view(&one, first, count, 20, SB_UNFINISHED);
    check_view(&two, first, count, 21, SB_LENGTH);
    first += count;
  }
  CHECK(sb_step(0, 0, &one) == SB_OK);
  check_view(&one, 0, 0, 0, SB_UNFINISHED);
  /* Many steps on grown arenas, with fewer outputs than they hold. */
  CHECK(submit(1, 7, 1, 100, "[{\"max_tokens\": 200}]", &accepted) == SB_OK);
  for (int32_t i = 0; i < 200; i++) {
    CHECK(sb_step(0, 0, &one) == SB_OK);
    check_view(&one, 1, 7, 100 + i, i < 199 ? SB_UNFINISHED : SB_LENGTH);
  }
}

static void test_limits(void) {
  int64_t accepted;
  sb_view view;
  CHECK(submit(1, 3, 4, 5, "[{\"max_tokens\": 1}]", &accepted) == SB_OK);
  CHECK_ERROR(sb_step(-1, 0, &view), SB_EPYTHON, "ValueError", "token limit -1");
  CHECK_ERROR(sb_step(0, 5000, &view), SB_EPYTHON, "ValueError", "sequence limit 5000");
  CHECK(sb_step(6, 2, &view) == SB_OK);
  CHECK(view.output_count == 1 && view.counters[7] == 6 && view.counters[13] == 6 && view.counters[14] == 2);
  CHECK(sb_step(0, 0, &view) == SB_OK);
  CHECK(view.output_count == 2 && view.counters[7] == 6 && view.counters[13] == 100000 && view.counters[14] == 4096);
}

static void test_submit_errors(void) {
  int64_t accepted = 5;
  sb_view view;
  CHECK_ERROR(submit(1, 2, 1, 1, "[", &accepted), SB_EPYTHON, "JSONDecodeError", "Expecting");
  CHECK_ERROR(submit(1, 2, 1, 1, "[]", &accepted), SB_EPYTHON, "IndexError", "range");
  CHECK_ERROR(submit(1, 2, 1, 1, "[{\"max_tokens\": 0}]", &accepted), SB_EPYTHON, "ValueError", "max_tokens");
  CHECK_ERROR(submit(1, 2, 1, 667, "[{\"max_tokens\": 1}]", &accepted), SB_EPYTHON, "ValueError", "request 1 cannot");
  CHECK(accepted == 0);

  /* Two good requests around a bad one. */
  int64_t ids[] = {1, 2, 3}, offsets[] = {0, 2, 3, 4};
  int32_t tokens[] = {8, 9, 667, 10}, params[] = {0, 0, 0};
  double arrivals[] = {1, 2, 3};
  sb_batch batch = {3, ids, offsets, tokens, params, arrivals, "[{\"max_tokens\": 1}]"};
  CHECK_ERROR(sb_submit(&batch, &accepted), SB_EPYTHON, "ValueError", "request 2 cannot");
  CHECK(accepted == 1);
  CHECK(sb_step(0, 0, &view) == SB_OK);
  CHECK(view.output_count == 1 && view.outputs[0].id == 1 && view.tokens[0] == 17);
}

static void test_step_errors(void) {
  int64_t accepted;
  sb_view view;
  const struct {
    int32_t token;
    const char *type, *message;
  } cases[] = {{666, "RuntimeError", "the kernel failed"}, {670, "SystemExit", "3"}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    CHECK(submit(1, 1, 1, cases[i].token, "[{\"max_tokens\": 1}]", &accepted) == SB_OK);
    for (int again = 0; again < 3; again++) {
      CHECK(sb_step(0, 0, &view) == SB_EPYTHON);
      CHECK(last_error_is(cases[i].type, cases[i].message) && last_traceback_has("llm_engine.py"));
    }
    abort_requests(1, 1);
    CHECK(sb_step(0, 0, &view) == SB_OK && view.output_count == 0);
  }
}

static void test_call(void) {
  const char *reply = NULL, *failed = NULL;
  CHECK(sb_call("threads", "null", &reply) == SB_OK && strcmp(reply, "[\"MainThread\"]") == 0);
  CHECK_ERROR(sb_call("dance", "null", &failed), SB_EPYTHON, "ValueError", "no control method 'dance'");
  CHECK_ERROR(sb_call("abort", "{", &failed), SB_EPYTHON, "JSONDecodeError", "Expecting");
  CHECK(failed == NULL);

  int64_t accepted;
  CHECK(submit(1, 500, 3, 5, "[{\"max_tokens\": 9}]", &accepted) == SB_OK);
  abort_requests(1, 500); /* a long reply in place of the short one */
  sb_view view;
  CHECK(sb_step(0, 0, &view) == SB_OK && view.output_count == 0);

  char *method = malloc(100001); /* a message longer than any buffer */
  CHECK(method);
  memset(method, 'x', 100000);
  method[100000] = '\0';
  CHECK_ERROR(sb_call(method, "null", &failed), SB_EPYTHON, "ValueError", "xxx");
  sb_error e;
  sb_last_error(&e);
  CHECK(strlen(e.message) > 100000 && strlen(e.traceback) > strlen(e.message));
  free(method);
}

/* The other thread gets its own error, and the first one's stays. */
static void *other_thread(void *unused) {
  sb_view view;
  int64_t accepted = 5;
  const char *text = NULL;
  sb_error e;
  sb_last_error(&e);
  CHECK(e.type[0] == '\0');
  for (int i = 0; i < 100; i++) {
    CHECK_ERROR(sb_step(0, 0, &view), SB_ETHREAD, "ThreadError", "another thread");
    CHECK_ERROR(sb_call("threads", "null", &text), SB_ETHREAD, "ThreadError", "another thread");
    CHECK_ERROR(sb_open("{}", &text), SB_ETHREAD, "ThreadError", "another thread");
    CHECK_ERROR(submit(1, 1, 1, 1, "[{}]", &accepted), SB_ETHREAD, "ThreadError", "another thread");
  }
  CHECK(accepted == 0 && text == NULL);
  return unused;
}

static void test_thread(void) {
  const char *text = NULL;
  CHECK_ERROR(sb_call("dance", "null", &text), SB_EPYTHON, "ValueError", "dance");
  sb_error before;
  sb_last_error(&before);
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, other_thread, NULL) == 0 && pthread_join(thread, NULL) == 0);
  CHECK(strstr(before.message, "dance") && strstr(before.traceback, "session.py"));
}

int main(int argc, char **argv) {
  if (argc != 2 || setenv("PYTHONPATH", "testdata/fake", 1) != 0) {
    fprintf(stderr, "usage, in the folder csrc: shim_test PYTHON\n");
    return 2;
  }
  test_abi();
  test_before_start();
  test_start(argv[1]);
  test_open();
  test_steps();
  test_limits();
  test_submit_errors();
  test_step_errors();
  test_call();
  test_thread();
  printf("shim_test: %d checks passed\n", checks);
  return 0;
}
