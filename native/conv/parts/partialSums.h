// Sums that many tasks have a part in: each adds up its share of the batch, and the shares are added in a fixed order.
#pragma once
#include "columns.h"
#include "geometry.h"
#include "operands.h"
#include "../../cpu/scratch.h"

namespace bayes {
namespace ISA {

// The sums of `splits` partial sums [rows][kp] each: the first n columns of row i go to row(i), if that is not null.
template <class Row>
static void addSplits(const float* part, long splits, long rows, long kp, long n, Row row) {
  parallelRange(rows, maxl(1, 4096 / kp), [&](long from, long to) {
    for (long i = from; i < to; i++) {
      float* d = row(i);
      for (long c = 0; c < n && d; c += W) {
        vf v = load(part + i * kp + c);
        for (long s = 1; s < splits; s++) v = v + load(part + (s * rows + i) * kp + c);
        storen(d + c, v, n - c);
      }
    }
  });
}

// Sums over the pixels of a map, from the column blocks that a weight gradient packs anyway: the gradients of bias mean
// and variance. Of every share of the batch first, then of all shares in order.
struct MapSums {
  long routes, splits, groups, kg, kp;
  Encoding encoding;
  float* part;  // [route][split][group][kp]
  MapSums() {}
  MapSums(const Geometry& g, Encoding as, long routeCount, long shares)
      : routes(routeCount), splits(shares), groups(g.groups), kg(g.kg), kp(padded(g.kg)), encoding(as) {}
  void take(Bump& b) { part = b.floats(routes * splits * groups * kp); }
  // A block of `width` columns from `column` on, of `steps` pixels.
  void add(long route, long split, long group, long column, const float* block, long steps, long width,
           bool first) const {
    float* to = part + ((route * splits + split) * groups + group) * kp + column;
    for (long j = 0; j < width; j += W) {
      vf a{}, b{};
      const float* s = block + j;
      long t = 0;
      if (encoding < PAIRS) {
        for (; t + 2 <= steps; t += 2, s += 2 * width) a = a + load(s), b = b + load(s + width);
        if (t < steps) a = a + load(s);
      } else {
        for (; t < steps; t++, s += width) a = a + earlier(load(s)), b = b + later(load(s));
      }
      store(to + j, first ? a + b : load(to + j) + (a + b));
    }
  }
  void finish(float* db1, float* db2) const {
    for (long r = 0; r < routes; r++)
      for (long group = 0; group < groups; group++)
        for (long c = 0; c < kg && (r ? db2 : db1); c++) {
          double sum = 0;
          for (long split = 0; split < splits; split++) sum += part[((r * splits + split) * groups + group) * kp + c];
          (r ? db2 : db1)[group * kg + c] = static_cast<float>(sum);
        }
  }
};

// Sums over the rows of a map [rows][k] of both routes: the bias gradients of a transposed convolution. (Others come
// with the weight gradients.)
struct ColumnSums {
  long rows, k, chunks;
  Encoding encoding;
  float* part;
  static constexpr long CHUNK = 512;
  ColumnSums(long n, long columns, Encoding as, Bump& b)
      : rows(n), k(columns), chunks(ceilDiv(n, CHUNK)), encoding(as), part(b.floats(2 * chunks * padded(columns))) {}
  template <int K, int V>
  INL void columns(const Operands& p, long c, long from, long to, long t) const {
    vf a[V]{}, b[V]{};
    for (long i = from; i < to; i++)
      for (int v = 0; v < V; v++) {
        vf g, h;
        elements<K>(p, i * k + c + v * W, V > 1 ? W : k - c, g, h);
        a[v] = a[v] + encoded<K>(g), b[v] = b[v] + encoded<K>(h);
      }
    for (int v = 0; v < V; v++) {
      store(part + t * padded(k) + c + v * W, a[v]);
      store(part + (chunks + t) * padded(k) + c + v * W, b[v]);
    }
  }
  void run(const Operands& p, float* first, float* second) const {
    if (!first && !second) return;
    const long kp = padded(k);
    parallel(chunks, [&](long t, int) {
      const long from = t * CHUNK, to = minl(from + CHUNK, rows);
      withKind(p, encoding, [&](auto K) {
        long c = 0;  // four vectors side by side read whole cache lines, and do not wait for each other
        for (; c + 4 * W <= k; c += 4 * W) columns<K.value, 4>(p, c, from, to, t);
        for (; c < k; c += W) columns<K.value, 1>(p, c, from, to, t);
      });
    });
    for (long c = 0; c < k; c++) {
      double a = 0, b = 0;
      for (long t = 0; t < chunks; t++) a += part[t * kp + c], b += part[(chunks + t) * kp + c];
      if (first) first[c] = static_cast<float>(a);
      if (second) second[c] = static_cast<float>(b);
    }
  }
};

}  // namespace ISA
}  // namespace bayes
