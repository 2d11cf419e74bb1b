// The larger of a and b with NumPy broadcasting; a NaN on either side stays.
#include "../loops/broadcast.h"
namespace bayes {
namespace ISA {

OP(maximum) {
  broadcastBinary(s, [](vf a, vf b) { return select(a == a, maxv(a, b), a); });
}
CONTRACT(maximum) { broadcastContract(c); }

}  // namespace ISA
}  // namespace bayes
