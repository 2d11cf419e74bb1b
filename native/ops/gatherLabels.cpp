// The labels of one step, chosen by index.
#include <stdio.h>
#include "../op.h"
namespace bayes {
namespace ISA {

OP(gatherLabels) {  // labels i32[N], index i32[B] -> i32[B]
  const int32_t *labels = s.in[0].i32(), *index = s.in[1].i32();
  const long n = s.in[0].size();
  for (long i = 0; i < s.in[1].size(); i++) {
    if (index[i] < 0 || index[i] >= n) {
      char why[120];
      snprintf(why, sizeof why, "example %d is outside the data set of %ld examples", index[i], n);
      failStep(s, why);
    }
    s.out[0].i32()[i] = labels[index[i]];
  }
}

}  // namespace ISA
}  // namespace bayes
