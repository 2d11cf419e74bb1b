// Adam and AdamW: (lr f32[], step i32[], then per parameter: param, grad, m, v, [mask]); writes param, m and v.
#include "../math.h"
#include "../loops/lists.h"

namespace bayes {
namespace cuda {

struct AdamRule {
  double beta1, beta2, epsilon, weightDecay;
  bool decoupled, masked;
};
struct AdamRates {  // of one step: made by one thread of a block for all
  float rate, least, shrink, decay;
  int stop;  // not what each thread sees of a fault: another block may raise it while they look
};

__global__ void __launch_bounds__(BLOCK)
    adamKernel(List<5> list, AdamRule rule, const float* lr, const int32_t* step, Fault* fault, int number) {
  AdamRates* const rates = reinterpret_cast<AdamRates*>(sharedMemory());
  if (threadIdx.x == 0) {
    const double a = *lr, t = *step;
    // lr / c1 m / (sqrt(v) / r + epsilon), r = sqrt(c2), is (lr / c1) r m / (sqrt(v) + r epsilon): one division
    const double correct1 = 1 - pow(rule.beta1, t), root = sqrt(1 - pow(rule.beta2, t));
    rates->rate = static_cast<float>(a / correct1 * root), rates->least = static_cast<float>(rule.epsilon * root);
    rates->shrink = rule.decoupled ? static_cast<float>(1 - a * rule.weightDecay) : 1.f;
    rates->decay = rule.decoupled ? 0.f : static_cast<float>(rule.weightDecay);
    const int found = !(a - a == 0) ? RATE_NOT_FINITE : !(t >= 1) ? STEP_NOT_FROM_1 : NO_FAULT;
    if (found) raise(fault, found, number);  // every block finds the same
    rates->stop = found || stopped(fault);
  }
  blockBarrier();
  if (rates->stop) return;
  const float rate = rates->rate, least = rates->least, shrink = rates->shrink, decay = rates->decay;
  const float keep1 = static_cast<float>(rule.beta1), take1 = static_cast<float>(1 - rule.beta1);
  const float keep2 = static_cast<float>(rule.beta2), take2 = static_cast<float>(1 - rule.beta2);
  long from, to;
  void* const* const in = list.data[list.mine(from, to)];
  float *const p = static_cast<float*>(in[0]), *const m = static_cast<float*>(in[2]);
  float* const v = static_cast<float*>(in[3]);
  const float *const grad = static_cast<const float*>(in[1]), *const keep = static_cast<const float*>(in[4]);
  for (long i = from + threadIdx.x; i < to; i += BLOCK) {
    const float w = p[i], g = grad[i] + decay * w;
    const float m1 = keep1 * m[i] + take1 * g, v1 = keep2 * v[i] + take2 * (g * g);
    m[i] = m1, v[i] = v1;
    // what is 0 in the mask stays as it is, whatever its gradient or decay
    if (!rule.masked || keep[i] != 0) p[i] = shrink * w - rate * m1 / (sqrtf(v1) + least);
  }
}

OP(adam, "beta1 beta2 epsilon weightDecay decoupled masked") {
  const bool masked = s.attr("masked") != 0;
  const AdamRule rule{s.attr("beta1", 0.9),  s.attr("beta2", 0.999),   s.attr("epsilon", 1e-8),
                      s.attr("weightDecay"), s.attr("decoupled") != 0, masked};
  const int size = masked ? 5 : 4;
  eachList<5>(
      s, 2, size,
      [&](int group, void** data) {
        for (int k = 0; k < 5; k++) data[k] = k < size ? s.in[2 + group * size + k].data : nullptr;
      },
      [&](const List<5>& list, unsigned blocks) {
        launch(adamKernel, blocks, BLOCK, sizeof(AdamRates), l.stream, list, rule,
               static_cast<const float*>(s.in[0].f32()), static_cast<const int32_t*>(s.in[1].i32()), l.fault, s.number);
      });
}

}  // namespace cuda
}  // namespace bayes
