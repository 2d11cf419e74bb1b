// The contracts of the convolution family. A convolution maps an image [H, W, C] to a map [P, Q, K] with weights
// [R, S, D, K], D = C / groups; a transposed one maps a map to an image; a linear layer is [C] to [K] with
// weights [C, K]. N is the batch of the layer's input, M that of its output.
#pragma once
#include "../vector/activation.h"
#include "../vector/noise.h"
#include "../loops/window.h"

namespace bayes {
namespace ISA {

enum LayerKind { LINEAR, CONV, TRANSPOSED };
struct LayerTypes {
  const char *x, *w, *bias, *y, *where;
};

// The attributes, for sizes of x and w that are known: those of the output, from now on.
static inline void layerGeometry(Contract& c, LayerKind kind) {
  if (kind == LINEAR) return;
  const double *stride = c.wholes("stride", 2, 1), *dilation = c.wholes("dilation", 2, 1);
  const double *padding = c.wholes("padding", 4), *extra = kind == TRANSPOSED ? c.wholes("outputPadding", 2) : nullptr;
  const long groups = c.whole("groups", 1, Contract::MOST), perGroup = c['D'];
  const double channels = static_cast<double>(groups) * perGroup;
  if (kind == TRANSPOSED) c.let('C', channels < 1e15 ? static_cast<long>(channels) : 1);
  c.expect(channels == c['C'], "%.0f channels for %ld groups of %ld, received %ld", channels, groups, perGroup, c['C']);
  c.expect(c['K'] % groups == 0, "channels divisible by %ld groups, received %ld", groups, c['K']);
  double values = static_cast<double>(maxl(c['C'], c['K'])), outputs = static_cast<double>(c['K']);
  for (int i = 0; i < 2; i++) {
    const double pads = padding[i] + padding[i + 2], reach = dilation[i] * (c["RS"[i]] - 1) + 1;
    if (kind == TRANSPOSED) {
      const double rest = extra[i], most = stride[i] > dilation[i] ? stride[i] : dilation[i];
      c.expect(rest < most, "outputPadding below %.0f, received %.0f", most, rest);
      const double size = (c["PQ"[i]] - 1) * stride[i] - pads + reach + rest;
      c.expect(size >= 1 && size < 1e15, "padding that leaves an output of at least one pixel, received %.0f", pads);
      c.let("HW"[i], static_cast<long>(size));
    } else {
      const double size = c["HW"[i]] + pads;
      c.expect(reach <= size, "an image of at least %.0f pixels with its padding, received %.0f", reach, size);
      c.let("PQ"[i], static_cast<long>((size - reach) / stride[i]) + 1);
    }
    values *= c["HW"[i]] + pads + stride[i], outputs *= static_cast<double>(c["PQ"[i]]);
  }
  c.expect(values < 1e15, "an image of at most 1e15 values with its padding, received %g", values);
  if (!c.has("pool")) return;
  const double* window = c.wholes("pool", 2, 1);
  indexInByte(c, "pool");
  c.expect(window[0] * window[1] > 1, "a pooling window of more than one pixel, received one");
  for (int i = 0; i < 2; i++) {
    const long rows = c["PQ"[i]] / static_cast<long>(window[i]);
    c.expect(rows > 0, "a pooling window of at most %ld pixels, received %.0f", c["PQ"[i]], window[i]);
    c.let("IJ"[i], rows);
  }
  c.expect(outputs < 1e15, "a map of at most 1e15 values, received %g", outputs);
}

static inline LayerTypes layerTypes(const Contract& c, LayerKind kind) {
  if (kind == LINEAR) return {"f32[N, C]", "f32[C, K]", "f32[K]", "f32[M, K]", nullptr};
  if (kind == TRANSPOSED) return {"f32[N, P, Q, K]", "f32[R, S, D, K]", "f32[C]", "f32[M, H, W, C]", nullptr};
  if (c.has("pool")) return {"f32[N, H, W, C]", "f32[R, S, D, K]", "f32[K]", "f32[M, I, J, K]", "u8[M, I, J, K]"};
  return {"f32[N, H, W, C]", "f32[R, S, D, K]", "f32[K]", "f32[M, P, Q, K]", nullptr};
}
// The attributes of all but the geometry; whether an activation follows.
static inline bool layerAttributes(Contract& c, LayerKind kind) {
  c.whole("precision", 0, 2, 0);
  if (kind != LINEAR) c.whole("exact", 0, 1, 0);
  return kind != TRANSPOSED && activationAttributes(c);
}

// x, w, [b] -> y, [where]
static inline void plainLayer(Contract& c, LayerKind kind) {
  const LayerTypes type = layerTypes(c, kind);
  const bool bias = c.flag("bias");
  layerAttributes(c, kind);
  c.in("x", type.x), c.in("w", type.w), layerGeometry(c, kind);
  if (bias) c.in("bias", type.bias);
  c.let('M', c['N']);
  if (type.where) c.perhaps("y", type.y), c.perhaps("where", type.where);
  else c.out("y", type.y);
}
// dy, x, w, [y], [where] -> dx, dw, [db]
static inline void plainGradient(Contract& c, LayerKind kind) {
  const LayerTypes type = layerTypes(c, kind);
  const bool activated = layerAttributes(c, kind);
  c.perhaps("dx", type.x), c.perhaps("dw", type.w), layerGeometry(c, kind);
  if (c.flag("bias")) c.perhaps("dbias", type.bias);
  c.let('M', c['N']);
  c.in("dy", type.y), c.in("x", type.x), c.in("w", type.w);
  if (activated) c.in("y", type.y);
  if (type.where) c.in("where", type.where);
}

// x, mu, sigma2, [bMu], [bSigma2], rng, rows -> y, r, [where]
static inline void bayesLayer(Contract& c, LayerKind kind) {
  const LayerTypes type = layerTypes(c, kind);
  const long bias = c.whole("bias", 0, 2), samples = c.whole("samples", 1, 65536);
  layerAttributes(c, kind);
  c.in("x", type.x), c.in("mu", type.w), c.in("sigma2", type.w), layerGeometry(c, kind);
  if (bias > 0) c.in("bias mean", type.bias);
  if (bias > 1) c.in("bias variance", type.bias);
  noiseInputs(c);
  const long batch = samples * c['B'];
  c.expect(c['N'] == c['B'] || c['N'] == batch, "a batch of %ld or %ld rows, received %ld", c['B'], batch, c['N']);
  c.let('M', batch);
  c.perhaps("y", type.y), c.perhaps("r", type.y);
  if (type.where) c.perhaps("where", type.where);
}
// dy, r, x, mu, sigma2, [y], [where] -> dx, dmu, dsigma2, [dbMu], [dbSigma2]
static inline void bayesGradient(Contract& c, LayerKind kind) {
  const LayerTypes type = layerTypes(c, kind);
  const long bias = c.whole("bias", 0, 2), samples = c.whole("samples", 1, 65536);
  const bool activated = layerAttributes(c, kind);
  c.whole("stream", 0, 65535);  // of the noise that the forward pass drew
  c.perhaps("dx", type.x), c.perhaps("dmu", type.w), c.perhaps("dsigma2", type.w), layerGeometry(c, kind);
  if (bias > 0) c.perhaps("dbias mean", type.bias);
  if (bias > 1) c.perhaps("dbias variance", type.bias);
  c.in("dy", type.y), c.in("r", type.y), c.in("x", type.x), c.in("mu", type.w), c.in("sigma2", type.w);
  const long batch = samples * c['N'];
  c.expect(c['M'] == c['N'] || c['M'] == batch, "dy of %ld or %ld rows, received %ld", c['N'], batch, c['M']);
  if (activated) c.in("y", type.y);
  if (type.where) c.in("where", type.where);
}

}  // namespace ISA
}  // namespace bayes
