// a + b with NumPy broadcasting.
#include "../loops/broadcast.h"
namespace bayes {
namespace ISA {

OP(add) {
  broadcastBinary(s, s.in[0], s.in[1], [](vf a, vf b) { return a + b; });
}
CONTRACT(add) { broadcastContract(c); }

}  // namespace ISA
}  // namespace bayes
