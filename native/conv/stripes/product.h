// A layer of single pixels (linear, 1x1 on a 1x1 image) with the weights read where they lie, once, and never packed:
// forward pass and data gradient (transposed). A task owns a stripe of the results' channels. It holds a few steps by
// two vectors of weights in registers, and all images pass by, whose sums stay in the L1 cache. Serves one group of one
// tap. Bound by reading the weights; by the multiply-adds from a few dozen images on.
#pragma once
#include "../parts/columns.h"
#include "../parts/epilogue.h"
#include "../parts/registerTile.h"

namespace bayes {
namespace ISA {

struct StripeProduct {
  static constexpr long STEPS = TALL2;      // whose weights are in registers
  static constexpr long BUDGET = 8192;      // floats of the sums of a task
  static constexpr long AHEAD = 8 * STEPS;  // steps of a transposed block
  const bool transposed;
  const Encoding encoding;
  const long n, ci, co, routes;
  long images, groups, stripe, stripes, ld, panelSize, outSize, blockSize, spareSize;
  const float* w[2];  // [ci][co]; transposed: [co][ci]
  float* panels;      // [route][few steps][image][STEPS]
  float* local;       // [thread]: sums of each route [image][ld], a transposed block, room for the epilogue

  StripeProduct(const Geometry& g, bool backwards, long routeCount, const Weights& weights)
      : transposed(backwards),
        encoding(g.encoding),
        n(g.n),
        ci(transposed ? g.k : g.c),
        co(transposed ? g.c : g.k),
        routes(routeCount),
        w{weights.w1, weights.w2} {
    groups = ceilDiv(n, 64), images = ceilDiv(n, groups);
    const long blocks = columnBlocks(co), most = maxl(1, BUDGET / (images * routes * 2 * W));
    stripes = minl(blocks, maxl(ceilDiv(blocks, most), ceilDiv(8, groups)));
    stripe = ceilDiv(blocks, stripes) * 2 * W;
    ld = stripe + 2 * W + (stripe + 2 * W == co ? 16 : 0);  // never the whole map's
    panelSize = roundUp(roundUp(ci, STEPS) * n + W, 16), outSize = images * ld;
    blockSize = transposed ? AHEAD * 2 * W : 0, spareSize = epilogueSpare(co);
  }
  static bool serves(const Geometry& g) {
    return g.depth == g.c && g.groups == 1 && g.h * g.w == 1 && g.ho * g.wo == 1 && !g.windows.use();
  }
  void takeWeights(Bump&) {}
  void pack(const float*, const float*) const {}
  void take(Bump& b) {
    panels = b.floats(routes * panelSize);
    local = b.floats(poolThreads() * localSize());
  }
  INL long localSize() const { return roundUp(routes * outSize + blockSize + spareSize, 16); }

  template <class E>
  void run(const Operands& x, E epilogue) const {
    fill(x);
    const long blocks = columnBlocks(co);
    parallel(groups * stripes, [&](long task, int thread) {
      const long group = task / stripes, n0 = n * group / groups, m = n * (group + 1) / groups - n0;
      const long b0 = blocks * (task % stripes) / stripes, b1 = blocks * (task % stripes + 1) / stripes;
      const long c0 = b0 * 2 * W, c1 = minl(b1 * 2 * W, co);
      float *out = local + thread * localSize(), *block = out + routes * outSize;
      const long chunk = transposed ? AHEAD : STEPS;
      for (long k = 0; k < ci; k += chunk)
        for (long r = 0; r < routes; r++)
          for (long c = c0; c < c1; c += 2 * W)
            columns(w[r], k, minl(chunk, ci - k), c, m, panels + r * panelSize + k * n + n0 * STEPS, block,
                    out + r * outSize + c - c0);
      epilogue(n0, m, c0, c1, out - c0, out + (routes - 1) * outSize - c0, ld, block + blockSize);
    });
  }

 private:
  void fill(const Operands& x) const {
    parallelRange(ceilDiv(ci, STEPS), maxl(1, 8192 / (n * STEPS)), [&](long from, long to) {
      withKind(x, encoding, [&](auto K) {
        for (long s = from; s < to; s++)
          for (long i = 0; i < n; i++) {
            float* d = panels + (s * n + i) * STEPS;
            place<K.value>(x, i * ci + s * STEPS, d, d + (routes - 1) * panelSize, minl(STEPS, ci - s * STEPS));
          }
      });
    });
  }
  // STEPS elements, and nothing beyond them, which may be another task's.
  template <int K>
  INL static void place(const Operands& x, long at, float* d, float* d2, long count) {
    for (long i = 0; i < STEPS; i += W) {
      vf a{}, b{};
      if (i < count) elements<K>(x, at + i, count - i, a, b);
      storen(d + i, encoded<K>(a), STEPS - i);
      if (K % 4 != ONE) storen(d2 + i, encoded<K>(b), STEPS - i);
    }
  }
  // Adds steps k .. k + count to the sums of the channels c .. c + 2 W; the first ones begin them.
  void columns(const float* weights, long k, long count, long c, long m, const float* X, float* block,
               float* out) const {
    const float* from = weights + k * co + c;
    long step = co, width = minl(2 * W, co - c);
    if (transposed) {
      packBlockTransposed(block, weights + k, count, ci, co, c / (2 * W));
      from = block, step = width = blockWidth(co, c / (2 * W));
    }
    for (long s = 0; s < count; s += STEPS, X += n * STEPS, from += STEPS * step) {
      const bool begin = k + s == 0;
      if (s + STEPS <= count) {
        if (!transposed) ahead(from + STEPS * step, step, ci - k - s - STEPS);
        tile<STEPS>(m, X, from, step, width, begin, out);
      } else
        for (long t = 0; t < count - s; t++) tile<1>(m, X + t, from + t * step, step, width, begin && t == 0, out);
    }
  }
  // The weights of the next steps, `left` of which there are, into the cache.
  INL static void ahead(const float* from, long step, long left) {
    for (long s = 0; s < minl(STEPS, left); s++)
      for (long i = 0; i < 2 * W; i += 16) __builtin_prefetch(from + s * step + i);
  }
  template <int S>
  INL void tile(long m, const float* X, const float* from, long step, long width, bool begin, float* out) const {
    if (encoding != FLOAT) steps<S, true, true>(m, X, from, step, width, begin, out, ld);
    else if (width < 2 * W) steps<S, true, false>(m, X, from, step, width, begin, out, ld);
    else steps<S, false, false>(m, X, from, step, width, begin, out, ld);
  }
  template <int S, int IMAGES>
  INL static void add(const float* X, const vf (&v)[S][2], bool begin, float* out, long ld) {
    vf a[IMAGES][2];
#pragma GCC unroll 2
    for (int i = 0; i < IMAGES; i++)
#pragma GCC unroll 2
      for (int z = 0; z < 2; z++) a[i][z] = begin ? vf{} : load(out + i * ld + z * W);
#pragma GCC unroll 12
    for (int s = 0; s < S; s++)
#pragma GCC unroll 2
      for (int i = 0; i < IMAGES; i++) {
        const vf x = set1(X[i * STEPS + s]);
#pragma GCC unroll 2
        for (int z = 0; z < 2; z++) a[i][z] = multiplyAdd<NO_PAIRS>(x, v[s][z], a[i][z]);
      }
#pragma GCC unroll 2
    for (int i = 0; i < IMAGES; i++)
#pragma GCC unroll 2
      for (int z = 0; z < 2; z++) store(out + i * ld + z * W, a[i][z]);
  }
  template <int S, bool PARTIAL, bool ROUND>
  static __attribute__((noinline)) void steps(long m, const float* X, const float* from, long step, long width,
                                              bool begin, float* out, long ld) {
    vf v[S][2];
#pragma GCC unroll 12
    for (int s = 0; s < S; s++)
#pragma GCC unroll 2
      for (int z = 0; z < 2; z++) {
        const float* p = from + s * step + z * W;
        v[s][z] = !PARTIAL ? load(p) : z * W < width ? loadn(p, width - z * W) : vf{};
        if (ROUND) v[s][z] = bf16(v[s][z]);
      }
    constexpr int AT_ONCE = W == 16 ? 2 : 1;
    long i = 0;
    for (; i + AT_ONCE <= m; i += AT_ONCE) add<S, AT_ONCE>(X + i * STEPS, v, begin, out + i * ld, ld);
    for (; i < m; i++) add<S, 1>(X + i * STEPS, v, begin, out + i * ld, ld);
  }
};

}  // namespace ISA
}  // namespace bayes
