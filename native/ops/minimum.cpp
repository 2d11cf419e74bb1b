// The smaller of a and b with NumPy broadcasting; a NaN on either side stays.
#include "../loops/broadcast.h"
namespace bayes {
namespace ISA {

OP(minimum) {
  broadcastBinary(s, [](vf a, vf b) { return select(a == a, minv(a, b), a); });
}
CONTRACT(minimum) { broadcastContract(c); }

}  // namespace ISA
}  // namespace bayes
