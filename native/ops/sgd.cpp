// SGD with momentum and Nesterov, PyTorch's definition: g += decay p; v = m v + g; p -= lr (nesterov ? g + m v : v).
#include "../loops/optimizer.h"
namespace bayes {
namespace ISA {

OP(sgd) {  // (lr, then per parameter: param, grad, [velocity where momentum > 0], [mask]); writes param, velocity
  const float momentum = (float)s.attr("momentum"), decay = (float)s.attr("weightDecay"), lr = *s.in[0].f32();
  checkRate(s, lr);
  const bool nesterov = s.attr("nesterov") != 0;
  const bool moving = s.attr("momentum") > 0;  // of the attribute: a float may be 0
  const bool masked = s.attr("masked") != 0;   // what is 0 in the mask stays as it is, whatever its gradient or decay
  const int size = moving ? 3 : 2;
  Groups{s, 1, masked ? size + 1 : size}.each([&](const Tensor* in, long, long from, long to, long) {
    float *p = in[0].f32(), *v = moving ? in[2].f32() : nullptr;
    const float *grad = in[1].f32(), *keep = masked ? in[size].f32() : nullptr;
    for (long i = from; i < to; i += W) {
      const long n = to - i;
      const vf w = loadn(p + i, n);
      vf g = loadn(grad + i, n) + decay * w;
      if (v) {
        const vf u = momentum * loadn(v + i, n) + g;
        storen(v + i, u, n);
        g = nesterov ? g + momentum * u : u;
      }
      const vf next = w - lr * g;
      storen(p + i, keep ? select(loadn(keep + i, n) != 0.f, next, w) : next, n);
    }
  });
}
CONTRACT(sgd) {
  const double momentum = c.number("momentum", 0, 1);
  c.number("weightDecay", 0), c.whole("nesterov", 0, momentum > 0);
  const bool masked = c.flag("masked");
  c.in("lr", "f32[1...]");
  do parameterInputs(c, masked, momentum > 0 ? "velocity" : nullptr, nullptr);
  while (c.inputsLeft());
}

}  // namespace ISA
}  // namespace bayes
