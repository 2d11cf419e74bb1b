// a - b with NumPy broadcasting.
#include "../loops/broadcast.h"
namespace bayes {
namespace ISA {

OP(sub) {
  broadcastBinary(s, [](vf a, vf b) { return a - b; });
}
CONTRACT(sub) { broadcastContract(c); }

}  // namespace ISA
}  // namespace bayes
