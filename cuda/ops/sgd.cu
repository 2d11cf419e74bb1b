// SGD with momentum and Nesterov, PyTorch's definition: g += decay p; v = m v + g; p -= lr (nesterov ? g + m v : v).
// (lr, then per parameter: param, grad, [velocity where momentum > 0], [mask]); writes param, velocity.
#include "../math.h"
#include "../loops/lists.h"

namespace bayes {
namespace cuda {

struct SgdRule {
  float momentum, decay;
  bool nesterov;
};

__global__ void __launch_bounds__(BLOCK)
    sgdKernel(List<4> list, SgdRule rule, const float* lr, Fault* fault, int number) {
  if (stopped(fault)) return;
  const float rate = *lr;
  if (!(rate - rate == 0)) return raise(fault, RATE_NOT_FINITE, number);  // every thread finds the same
  long from, to;
  void* const* const in = list.data[list.mine(from, to)];
  float *const p = static_cast<float*>(in[0]), *const v = static_cast<float*>(in[2]);
  const float *const grad = static_cast<const float*>(in[1]), *const keep = static_cast<const float*>(in[3]);
  for (long i = from + threadIdx.x; i < to; i += BLOCK) {
    const float w = p[i];
    float g = grad[i] + rule.decay * w;
    if (v) {
      const float u = rule.momentum * v[i] + g;
      v[i] = u;
      g = rule.nesterov ? g + rule.momentum * u : u;
    }
    if (!keep || keep[i] != 0) p[i] = w - rate * g;
  }
}

OP(sgd, "momentum weightDecay nesterov masked") {
  const bool moving = s.attr("momentum") > 0, masked = s.attr("masked") != 0;
  const SgdRule rule{static_cast<float>(s.attr("momentum")), static_cast<float>(s.attr("weightDecay")),
                     s.attr("nesterov") != 0};
  const int size = 2 + (moving ? 1 : 0) + (masked ? 1 : 0);
  eachList<4>(
      s, 1, size,
      [&](int group, void** data) {
        const Tensor* const in = s.in + 1 + group * size;
        data[0] = in[0].data, data[1] = in[1].data;
        data[2] = moving ? in[2].data : nullptr, data[3] = masked ? in[size - 1].data : nullptr;
      },
      [&](const List<4>& list, unsigned blocks) {
        launch(sgdKernel, blocks, BLOCK, 0, l.stream, list, rule, static_cast<const float*>(s.in[0].f32()), l.fault,
               s.number);
      });
}

}  // namespace cuda
}  // namespace bayes
