// The targets of one step, chosen by index.
#include <stdio.h>
#include "../cpu/op.h"
namespace bayes {
namespace ISA {

OP(gatherRows) {  // data i32 | f32 [N,...], index i32[B] -> [B,...]
  const char* data = static_cast<const char*>(s.in[0].data);
  char* out = static_cast<char*>(s.out[0].data);
  const int32_t* index = s.in[1].i32();
  const long n = s.in[0].dim(0), bytes = s.in[0].size() / n * 4;
  for (long i = 0; i < s.in[1].size(); i++) {
    const int32_t at = index[i];
    if (at < 0 || at >= n) {
      char why[120];
      snprintf(why, sizeof why, "example %d is outside the data set of %ld examples", at, n);
      failStep(s, why);
    }
    memcpy(out + i * bytes, data + at * bytes, bytes);
  }
}
CONTRACT(gatherRows) { c.in("data", "f32|i32[N, ...]"), c.in("index", "i32[B]"), c.out("y", "T[B, ...]"); }

}  // namespace ISA
}  // namespace bayes
