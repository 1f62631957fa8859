/* Libraries that bridge.Load must refuse: the real layout table (abi.c), with
 * one defect chosen by a macro. */
#define SB_INTERNAL_H /* abi.c then needs no Python */
#define SB_PY_VERSION "3.0.0"
#define SB_PY_BASE_PREFIX "/stub"

#ifdef OTHER_VERSION
#include "stepbench.h"
#undef SB_ABI_VERSION
#define SB_ABI_VERSION 2
#endif

/* Wrapped, so that each can be made to lie on its own. */
#define sb_abi_count real_count
#define sb_abi_name real_name
#define sb_abi_value real_value
#define sb_abi_check real_check
#include "stepbench.h"

#include "abi.c"
#undef sb_abi_count
#undef sb_abi_name
#undef sb_abi_value
#undef sb_abi_check

#ifndef COUNT_MORE
#define COUNT_MORE 0
#endif
#ifndef VALUE_AT
#define VALUE_AT -1
#endif

SB_API int32_t sb_abi_count(void) { return LAYOUT_COUNT + COUNT_MORE; }
SB_API const char *sb_abi_name(int32_t i) { return i < LAYOUT_COUNT ? real_name(i) : "sb_view.more"; }
SB_API int64_t sb_abi_value(int32_t i) { return i == VALUE_AT ? 1000 : i < LAYOUT_COUNT ? layout[i].value : 7; }

SB_API int32_t sb_abi_check(const int64_t *host, int32_t count) {
#ifdef CHECK_SAYS
  (void)host, (void)count;
  return CHECK_SAYS;
#else
  return real_check(host, count);
#endif
}

int32_t sb_start(const sb_start_options *options) { return options ? 0 : 1; }
int32_t sb_open(const char *config, const char **info) { return config && info ? 0 : 1; }
int32_t sb_submit(const sb_batch *batch, int64_t *accepted) { return batch && accepted ? 0 : 1; }
int32_t sb_call(const char *method, const char *args, const char **reply) { return method && args && reply ? 0 : 1; }
void sb_last_error(sb_error *out) { *out = (sb_error){"", "", ""}; }
int64_t sb_now_ns(void) { return 0; }
#ifndef NO_STEP
int32_t sb_step(int64_t tokens, int64_t seqs, sb_view *out) { return tokens + seqs && out ? 0 : 1; }
#endif
