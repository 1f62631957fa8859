/* The struct layout as data, so that a stale shim or a stale binary is refused
 * at load instead of reading garbage. */
#include "internal.h"

#include <stddef.h>

static const struct {
  const char *name;
  int64_t value;
} layout[] = {
#define SIZE(t) {"sizeof(" #t ")", (int64_t)sizeof(t)}
#define FIELD(t, f) {#t "." #f, (int64_t)offsetof(t, f)}
    {"SB_ABI_VERSION", SB_ABI_VERSION},
    {"SB_COUNTERS", SB_COUNTERS},
    {"SB_STATS", SB_STATS},
    SIZE(sb_error),
    FIELD(sb_error, type),
    FIELD(sb_error, message),
    FIELD(sb_error, traceback),
    SIZE(sb_start_options),
    FIELD(sb_start_options, program),
    FIELD(sb_start_options, module_path),
    FIELD(sb_start_options, module),
    SIZE(sb_batch),
    FIELD(sb_batch, count),
    FIELD(sb_batch, ids),
    FIELD(sb_batch, offsets),
    FIELD(sb_batch, tokens),
    FIELD(sb_batch, params),
    FIELD(sb_batch, arrivals),
    FIELD(sb_batch, params_json),
    SIZE(sb_output),
    FIELD(sb_output, id),
    FIELD(sb_output, token_off),
    FIELD(sb_output, token_len),
    FIELD(sb_output, finish),
    FIELD(sb_output, stats),
    SIZE(sb_view),
    FIELD(sb_view, enter_ns),
    FIELD(sb_view, gil_ns),
    FIELD(sb_view, call_ns),
    FIELD(sb_view, return_ns),
    FIELD(sb_view, exit_ns),
    FIELD(sb_view, output_count),
    FIELD(sb_view, token_count),
    FIELD(sb_view, stats_count),
    FIELD(sb_view, outputs),
    FIELD(sb_view, tokens),
    FIELD(sb_view, stats),
    FIELD(sb_view, counters),
#undef SIZE
#undef FIELD
};

enum { LAYOUT_COUNT = sizeof(layout) / sizeof(layout[0]) };

int32_t sb_abi_count(void) { return LAYOUT_COUNT; }

const char *sb_abi_name(int32_t i) {
  return i >= 0 && i < LAYOUT_COUNT ? layout[i].name : "";
}

int64_t sb_abi_value(int32_t i) {
  return i >= 0 && i < LAYOUT_COUNT ? layout[i].value : -1;
}

int32_t sb_abi_check(const int64_t *host, int32_t count) {
  for (int32_t i = 0; i < LAYOUT_COUNT; i++)
    if (i >= count || host[i] != layout[i].value) return i;
  return count > LAYOUT_COUNT ? LAYOUT_COUNT : -1;
}

const char *sb_build_python(void) { return SB_PY_VERSION; }
const char *sb_build_prefix(void) { return SB_PY_BASE_PREFIX; }
