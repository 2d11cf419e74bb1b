// Rows of one image with the zeros beside them, so that lane k of a vector holds what output channel k multiplies: of a
// depthwise layer the channels as they lie, of groups a vector for every channel of a group, each spread over the
// lanes of the group's outputs. A product is then elementwise, and a convolution of groups is a depthwise one of more
// taps. Each input row is made once for a task and stays in a ring of as many rows as one output row reads.
// Serves any groups whose rows fit; pays for few channels a group. Bound by the stores: one a vector and channel.
#pragma once
#include "../parts/geometry.h"
#include "../parts/operands.h"

namespace bayes {
namespace ISA {

// The layout, of a forward pass or (transposed) a data gradient: [block of channels][row][column][step][W].
struct LanePanel {
  static constexpr long MOST_TAPS = 256, MOST_FLOATS = 1 << 20;
  Axis vertical, horizontal;
  long in, perIn, out, perOut;  // channels of a pixel that are read and written, and of a group
  long steps, vectors;          // vectors a tap; vectors of output channels
  long first, columns, ring;    // columns of the panel from input position `first` on, and rows
  long row, plane;              // floats of a row, and from one vector of output channels to the next
  LanePanel(const Geometry& g, bool transposed)
      : vertical(g.vertical(transposed)),
        horizontal(g.horizontal(transposed)),
        in(transposed ? g.k : g.c),
        perIn(transposed ? g.kg : g.cg),
        out(transposed ? g.c : g.k),
        perOut(transposed ? g.cg : g.kg) {
    steps = perIn, vectors = ceilDiv(out, W);
    const Axis &v = vertical, &h = horizontal;
    first = transposed ? floorDiv(h.pad - span(h), h.stride) : -h.pad;
    columns = transposed ? floorDiv(h.out - 1 + h.pad, h.stride) - first + 1 : (h.out - 1) * h.stride + span(h) + 1;
    ring = minl(v.in, (transposed ? (span(v) + v.stride - 1) / v.stride : span(v)) + 1);
    row = columns * steps * W;
    plane = ring * row + (ring * row % 1024 ? 0 : W);  // planes are written side by side: not to one set of a cache
  }
  static bool serves(const Geometry& g, bool transposed, long routes) {
    return g.kh * g.kw <= MOST_TAPS && routes * LanePanel(g, transposed).plane <= MOST_FLOATS;
  }
  // All input rows between the first and the last tap of output row o, of a data gradient up to the stride behind it:
  // they never go up again.
  INL void reach(long o, long& from, long& to) const {
    const Axis& v = vertical;
    const long top = v.transposed ? floorDiv(o + v.pad - span(v), v.stride) : o * v.stride - v.pad;
    const long end = v.transposed ? floorDiv(o + v.pad + v.stride - 1, v.stride) : top + span(v);
    from = maxl(0, top), to = minl(v.in, end + 1);
  }
  // A row's results fall into phases, whose neighbours read neighbouring columns: of a data gradient as many as the
  // stride. Taps go from left to right: those of a data gradient backwards.
  INL long phases() const { return horizontal.transposed ? minl(horizontal.stride, horizontal.out) : 1; }
  INL long results(long phase) const { return ceilDiv(horizontal.out - phase, phases()); }
  INL long advance() const { return horizontal.transposed ? 1 : horizontal.stride; }
  INL bool reads(long phase, long j) const {
    return !horizontal.transposed || before(phase, j) % horizontal.stride == 0;
  }
  // The input position that tap j of a phase's first result reads.
  INL long start(long phase, long j) const {
    return horizontal.transposed ? before(phase, j) / horizontal.stride : j * horizontal.dilation - horizontal.pad;
  }
  INL long tapOf(long j) const { return horizontal.transposed ? horizontal.taps - 1 - j : j; }

 private:
  INL static long span(const Axis& a) { return a.dilation * (a.taps - 1); }  // from the first tap to the last one
  INL long before(long phase, long j) const { return phase + horizontal.pad - tapOf(j) * horizontal.dilation; }
  INL static long floorDiv(long a, long b) { return a >= 0 ? a / b : -ceilDiv(-a, b); }
};

// What later rows will read, fetched while this one is multiplied: by itself the CPU starts each row anew.
struct LaneAhead {
  long rows, row, pixels, pixel, channels;  // rows, pixels of a result, floats between them and to the next vector's
  const float* streams[3] = {};
  long count = 0;
  LaneAhead(const Operands& p, long at, long rowCount, long rowSize, long pixelCount, long pixelSize, long vectorSize)
      : rows(rowCount), row(rowSize), pixels(pixelCount), pixel(pixelSize), channels(vectorSize) {
    streams[count++] = p.a + at;
    if (p.kind >= PRODUCT) streams[count++] = p.b + at;
    if (p.activation != IDENTITY) streams[count++] = p.y + at;
  }
  // That of `results` results and one vector of channels
  INL void fetch(long results) const {
    for (long s = 0; s < count; s++)
      for (long r = 0; r < rows; r++)
        for (long i = 0; i < results * pixels; i++) __builtin_prefetch(streams[s] + r * row + i * pixel, 0, 2);
  }
  INL void moveBy(long results, long vectors) {
    for (long s = 0; s < count; s++) streams[s] += results * pixels * pixel + vectors * channels;
  }
};

// The rows that a task has of one image at a time: vectors v0 .. v1 of output channels, of one or two routes.
struct LaneRows {
  const LanePanel& p;
  const Operands& src;
  const Encoding encoding;
  const long v0, v1, from, count;  // the channels that these vectors read
  float *first, *second, *made, *made2;
  int32_t* lanes;  // [vector][W]: the channel that a lane reads, from the vector's first one on
  long image = -1, next = 0;
  static long size(const LanePanel& p, long vectors, long routes) {
    return routes * vectors * p.plane + 2 * staged(p, vectors) + vectors * W;
  }
  LaneRows(const LanePanel& panel, const Operands& operands, Encoding as, long b0, long b1, float* memory)
      : p(panel),
        src(operands),
        encoding(as),
        v0(b0),
        v1(b1),
        from(b0 * W / panel.perOut * panel.perIn),
        count(minl(panel.in, ((b1 * W - 1) / panel.perOut + 1) * panel.perIn) - from) {
    const long size = (v1 - v0) * p.plane;
    first = memory, second = memory + (src.routes() - 1) * size;
    made = second + size, made2 = made + staged(p, v1 - v0);
    lanes = reinterpret_cast<int32_t*>(made2 + staged(p, v1 - v0));
    memset(first, 0, src.routes() * size * sizeof(float));
    for (long k = v0 * W; k < v1 * W && !asTheyLie(); k++)
      lanes[k - v0 * W] = static_cast<int32_t>((minl(k, p.out - 1) / p.perOut - k / W * W / p.perOut) * p.perIn);
  }
  INL const float* route(long r) const { return r ? second : first; }
  INL long at(long h) const { return h % p.ring * p.row; }
  // Rows h0 .. h1 of image n are there from now on, in ascending order.
  void fill(long n, long h0, long h1) {
    if (n != image) image = n, next = 0;
    const long h = maxl(next, h0);
    if (h < h1) withKind(src, encoding, [&](auto K) { rows<K.value>(h, h1); });
    next = maxl(next, h1);
  }  // The rows behind those.
  LaneAhead ahead() const {
    const Axis& v = p.vertical;
    const long line = p.horizontal.in * p.in, at = (image * v.in + minl(next, v.in - 1)) * line + from;
    return {
        src, at, v.transposed ? 1 : minl(v.stride, p.ring), line, p.advance(), p.in, maxl(1, W * p.perIn / p.perOut)};
  }

 private:
  static long staged(const LanePanel& p, long vectors) {
    return roundUp(((vectors * W - 1) / p.perOut + 2) * p.perIn, W) + 2 * W;
  }
  INL bool asTheyLie() const { return p.perIn == 1 && p.perOut == 1; }
  template <int K>
  INL void rows(long h0, long h1) const {
    const long w0 = maxl(p.first, 0), w1 = minl(p.first + p.columns, p.horizontal.in), step = p.steps * W;
    for (long h = h0; h < h1; h++) {
      long from1 = ((image * p.vertical.in + h) * p.horizontal.in + w0) * p.in, to = at(h) + (w0 - p.first) * step;
      for (long w = w0; w < w1; w++, from1 += p.in, to += step)
        if (asTheyLie()) pixel<K>(from1, first + to, second + to);
        else {
          copyRun<K>(src, from1 + from, made, made2, count);
          spread(made, first + to);
          if (K % 4 != ONE) spread(made2, second + to);
        }
    }
  }
  template <int K>
  INL void pixel(long at, float* d, float* d2) const {
    const auto vector = [&](long v, long left) {
      vf a, b;
      elements<K>(src, at + v * W, left, a, b);
      store(d, encoded<K>(a));
      if (K % 4 != ONE) store(d2, encoded<K>(b));
      d += p.plane, d2 += p.plane;
    };
    const long whole = minl(v1, p.in / W);
    for (long v = v0; v < whole; v++) vector(v, W);
    if (whole < v1) vector(whole, p.in - whole * W);
  }
  // A pixel's channels -> of every vector of outputs, a vector for each channel of their groups
  INL void spread(const float* s, float* d) const {
    for (long v = v0; v < v1; v++, d += p.plane) {
      const float* base = s + v * W / p.perOut * p.perIn - from;
      const int32_t* lane = lanes + (v - v0) * W;
      vi index = *reinterpret_cast<const viu*>(lane);
      for (long e = 0; e < p.steps; e++, index = index + 1) {
        vf a = permute(load(base + e / W * W), index);
        for (long j = e / W + 1; j <= (lane[W - 1] + e) / W; j++)
          a = select(index >= set1i(static_cast<int32_t>(j * W)), permute(load(base + j * W), index), a);
        store(d + e * W, a);
      }
    }
  }
};

}  // namespace ISA
}  // namespace bayes
