// 1 where a >= b, else 0, with NumPy broadcasting.
#include "../loops/broadcast.h"
namespace bayes {
namespace ISA {

OP(greaterEqual) {
  broadcastBinary(s, [](vf a, vf b) { return select(a >= b, set1(1.f), vf{}); });
}
CONTRACT(greaterEqual) { broadcastContract(c); }

}  // namespace ISA
}  // namespace bayes
