// Adam (Kingma and Ba 2015, algorithm 1) and AdamW (Loshchilov and Hutter 2019), PyTorch's definitions. Bound by
// bandwidth: 4 reads, 3 writes.
#include "../loops/optimizer.h"
namespace bayes {
namespace ISA {

OP(adam) {  // (lr f32[], step i32[], then per parameter: param, grad, m, v, [mask]); writes param, m and v. step is
            // from 1
  const double b1 = s.attr("beta1", 0.9), b2 = s.attr("beta2", 0.999), lr = *s.in[0].f32(), step = *s.in[1].i32();
  checkRate(s, lr);
  if (!(step >= 1)) failStep(s, "the number of the step is not from 1 on");
  const double correct1 = 1 - ::pow(b1, step), correct2 = 1 - ::pow(b2, step), weightDecay = s.attr("weightDecay");
  const bool decoupled = s.attr("decoupled") != 0;
  // lr / c1 m / (sqrt(v) / r + epsilon), r = sqrt(c2), is (lr / c1) r m / (sqrt(v) + r epsilon): one division
  const double root = ::sqrt(correct2);
  const float rate = (float)(lr / correct1 * root), least = (float)(s.attr("epsilon", 1e-8) * root);
  const float keep1 = (float)b1, take1 = (float)(1 - b1), keep2 = (float)b2, take2 = (float)(1 - b2);
  const float shrink = decoupled ? (float)(1 - lr * weightDecay) : 1.f, decay = decoupled ? 0.f : (float)weightDecay;
  const bool masked = s.attr("masked") != 0;  // what is 0 in the mask stays as it is, whatever its gradient or decay
  Groups{s, 2, masked ? 5 : 4}.each([&](const Tensor* in, long, long from, long to, long) {
    float *p = in[0].f32(), *m = in[2].f32(), *v = in[3].f32();
    const float *grad = in[1].f32(), *keep = masked ? in[4].f32() : nullptr;
    eachVector(from, to, [=](long i, long n) {
      const vf w = loadn(p + i, n), g = loadn(grad + i, n) + decay * w;
      const vf m1 = keep1 * loadn(m + i, n) + take1 * g, v1 = keep2 * loadn(v + i, n) + take2 * (g * g);
      storen(m + i, m1, n), storen(v + i, v1, n);
      const vf next = shrink * w - rate * m1 / (sqrtv(v1) + least);
      storen(p + i, keep ? select(loadn(keep + i, n) != 0.f, next, w) : next, n);
    });
  });
}
CONTRACT(adam) {
  c.number("beta1", 0, 1 - 1e-7), c.number("beta2", 0, 1 - 1e-7), c.number("epsilon", 0), c.number("weightDecay", 0);
  c.flag("decoupled");
  const bool masked = c.flag("masked");
  c.in("lr", "f32[1...]"), c.in("step", "i32[1...]");
  do parameterInputs(c, masked, "m", "v");
  while (c.inputsLeft());
}

}  // namespace ISA
}  // namespace bayes
