// a / b with NumPy broadcasting.
#include "../loops/broadcast.h"
namespace bayes {
namespace ISA {

OP(div) {
  broadcastBinary(s, [](vf a, vf b) { return a / b; });
}
CONTRACT(div) { broadcastContract(c); }

}  // namespace ISA
}  // namespace bayes
