// What a convolution is, by its shapes and attributes, and which input a tap reads.
#pragma once
#include "../../loops/window.h"
#include "../../vector/bf16.h"

namespace bayes {
namespace ISA {

constexpr long LANES = 2 * W;  // images of a panel whose vector lanes are images

// One side of an image: which input position tap i of output position o reads. Forward: o * stride - pad + i *
// dilation; transposed: the positions whose windows hold o.
struct Axis {
  long in, out, taps, stride, dilation, pad;
  bool transposed;
  // The input position, or -1.
  INL long at(long o, long i) const {
    long p = transposed ? o + pad - i * dilation : o * stride - pad + i * dilation;
    if (transposed && stride > 1) {
      if (p < 0 || p % stride) return -1;
      p /= stride;
    }
    return p >= 0 && p < in ? p : -1;
  }
  // The input positions that outputs o0 .. o1 read, as [from, to); empty: [0, 0).
  INL void reach(long o0, long o1, long& from, long& to) const {
    from = in, to = 0;
    for (long o = o0; o < o1; o++)
      for (long i = 0; i < taps; i++) {
        const long p = at(o, i);
        if (p >= 0) from = minl(from, p), to = maxl(to, p + 1);
      }
    if (to == 0) from = 0;
  }
  // The most input positions that a band of `band` outputs reaches over, at least one.
  long mostReached(long band) const {
    long most = 1;
    for (long o = 0; o < out; o += band) {
      long from, to;
      reach(o, minl(o + band, out), from, to);
      most = maxl(most, to - from);
    }
    return most;
  }
  // The outputs whose tap i falls on the input, as [from, to); forward only.
  INL void span(long i, long& from, long& to) const {
    const long d = i * dilation - pad;
    from = d >= 0 ? 0 : ceilDiv(-d, stride);
    to = d >= in ? 0 : minl(out, (in - 1 - d) / stride + 1);
    if (from >= to) from = to = 0;
  }
};

// image [n, h, w, c] <-> map [n, ho, wo, k], weights [kh, kw, cg = c / groups, k]. A linear layer is a 1x1 convolution
// of 1x1 images; of a transposed convolution, the image is the output and the map the input.
struct Geometry {
  long n, h, w, c, ho, wo, k, kh, kw, sh, sw, top, left, dh, dw, groups, cg, kg;
  long depth;           // taps of one group: kh * kw * cg
  long pixels;          // of the map: n * ho * wo
  Encoding encoding;    // of both operands of a product
  bool exact;           // every result is a plain sum, in all passes
  PoolWindows windows;  // the max pooling behind the layer, if there is one: then the map is no tensor of the program
  INL Geometry(const Step& s, const Tensor& image, const Tensor& weights, const Tensor& map) {
    if (weights.rank == 2) {
      n = image.dims[0], c = image.dims[1], k = map.dims[1];
      h = w = ho = wo = kh = kw = sh = sw = dh = dw = groups = 1, top = left = 0;
    } else {
      n = image.dims[0], h = image.dims[1], w = image.dims[2], c = image.dims[3];
      ho = map.dims[1], wo = map.dims[2], k = map.dims[3], kh = weights.dims[0], kw = weights.dims[1];
      auto two = [&](const char* name, int i) { return static_cast<long>(s.attr(name, 1, i)); };
      sh = two("stride", 0), sw = two("stride", 1), dh = two("dilation", 0), dw = two("dilation", 1);
      top = static_cast<long>(s.attr("padding", 0, 0)), left = static_cast<long>(s.attr("padding", 0, 1));
      groups = two("groups", 0);
    }
    if (s.find("pool")) {
      const auto along = [&](long size, int axis, long taps, long dilation, long stride) {
        const long pads = static_cast<long>(s.attr("padding", 0, axis) + s.attr("padding", 0, axis + 2));
        return (size + pads - dilation * (taps - 1) - 1) / stride + 1;
      };
      ho = along(h, 0, kh, dh, sh), wo = along(w, 1, kw, dw, sw);
      windows =
          PoolWindows(static_cast<long>(s.attr("pool", 1, 0)), static_cast<long>(s.attr("pool", 1, 1)), ho, wo, k);
    }
    n = minl(n, map.dims[0]);  // an output may hold several samples of the batch
    cg = c / groups, kg = k / groups, depth = kh * kw * cg, pixels = n * ho * wo;
    encoding = s.attr("precision") ? ROUNDED : FLOAT;
    exact = s.attr("exact") != 0;
  }
  INL long imageSize() const { return h * w * c; }
  // The same layer with every pixel an image of its own, where its results are of single pixels (1x1, no stride).
  Geometry pixelwise() const {
    Geometry g = *this;
    if (kh * kw == 1 && h == ho && w == wo && sh == 1 && sw == 1 && top == 0 && left == 0 && !windows.use())
      g.n = pixels, g.h = g.w = g.ho = g.wo = 1;
    return g;
  }
  // Which input a tap of a product reads: forward from the image, transposed from the map.
  INL Axis vertical(bool transposed) const {
    return {transposed ? ho : h, transposed ? h : ho, kh, sh, dh, top, transposed};
  }
  INL Axis horizontal(bool transposed) const {
    return {transposed ? wo : w, transposed ? w : wo, kw, sw, dw, left, transposed};
  }
};

}  // namespace ISA
}  // namespace bayes
