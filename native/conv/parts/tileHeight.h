// The height of a register tile is a number that the compiler has to know.
#pragma once
#include "../../vector/simd.h"

namespace bayes {
namespace ISA {

template <int P>
struct Height {
  static constexpr int rows = P;
};
// f(Height<P>()) for the P in [1, MOST] that is `rows`
template <int MOST, class F>
INL void withHeight(long rows, const F& f) {
#define HEIGHT(P)                                   \
  case P:                                           \
    if constexpr (P <= MOST) return f(Height<P>()); \
    break;
  switch (rows) {
    HEIGHT(1)
    HEIGHT(2)
    HEIGHT(3)
    HEIGHT(4)
    HEIGHT(5)
    HEIGHT(6) HEIGHT(7) HEIGHT(8) HEIGHT(9) HEIGHT(10) HEIGHT(11) HEIGHT(12) HEIGHT(13) HEIGHT(14) HEIGHT(15) HEIGHT(16)
  }
#undef HEIGHT
}

}  // namespace ISA
}  // namespace bayes
