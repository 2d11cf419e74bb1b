// a * b with NumPy broadcasting.
#include "../loops/broadcast.h"
namespace bayes {
namespace ISA {

OP(mul) {
  broadcastBinary(s, [](vf a, vf b) { return a * b; });
}
CONTRACT(mul) { broadcastContract(c); }

}  // namespace ISA
}  // namespace bayes
