// Any tensor into another place: a result that is a parameter, a constant, a view or wanted twice.
#include "../vector/simd.h"
namespace bayes {
namespace ISA {

OP(copy) { memcpy(s.out[0].data, s.in[0].data, s.in[0].size() * (s.in[0].dtype == BAYES_U8 ? 1 : 4)); }
CONTRACT(copy) { c.in("x", "f32|i32|u8[...]"), c.out("y", "T[...]"); }

}  // namespace ISA
}  // namespace bayes
