// Counts the calls of overriding ops; included by the registration units that
// stepbench build generates.
#pragma once

#include <atomic>

namespace stepbench {

// One op's counter, by the op's name, "namespace::op". Lives as long as the library.
struct Counter {
  explicit Counter(const char* name);
  const char* const op;
  std::atomic<unsigned long long> calls{0};  // from any thread
  Counter* const next;
};

// Counted<&f, counter>::call has f's own signature, so that torch infers the
// same schema from it as from f.
template <auto Function, Counter& Count>
struct Counted;

template <class Result, class... Args, Result (*Function)(Args...), Counter& Count>
struct Counted<Function, Count> {
  static Result call(Args... args) {
    Count.calls.fetch_add(1, std::memory_order_relaxed);
    return Function(static_cast<Args&&>(args)...);
  }
};

}  // namespace stepbench
