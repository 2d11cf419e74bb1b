// Batch normalization over all axes but the last (Ioffe and Szegedy 2015). Statistics read x once: a block centres its
// chunk of rows on the chunk's first row, and chunks are merged in float64 by Chan's formula, in order. Normalizing
// reads it again and writes y, with the activation behind it; so does the gradient.
#include "../math.h"
#include "../loops/elementwise.h"

namespace bayes {
namespace cuda {

constexpr int NORM_LANES = 8;  // threads of a block that share a channel; BLOCK / NORM_LANES neighbouring channels

struct NormShape {
  long c, rows, chunk, chunks, groups;
  explicit NormShape(const Tensor& x) : c(x.dim(-1)), rows(x.size() / c), chunk(64 * NORM_LANES) {
    while (ceilDiv(rows, chunk) > 65535) chunk *= 2;
    chunks = ceilDiv(rows, chunk), groups = ceilDiv(c, BLOCK / NORM_LANES);
  }
  dim3 grid() const { return dim3(static_cast<unsigned>(groups), static_cast<unsigned>(chunks)); }
  size_t scratch() const { return static_cast<size_t>(chunks * 2 * c) * sizeof(double); }
};
constexpr size_t NORM_ROOM = 2 * BLOCK * sizeof(float);

// partial [chunks, 2, C]: of terms(row, channel, a, b), which adds to a and b, the sums over a chunk of rows. Lanes of
// a channel are added in order.
template <class F>
__global__ void __launch_bounds__(BLOCK) normSumsKernel(NormShape g, F terms, double* partial) {
  constexpr int COLUMNS = BLOCK / NORM_LANES;
  const int column = static_cast<int>(threadIdx.x) % COLUMNS, lane = static_cast<int>(threadIdx.x) / COLUMNS;
  const long c = static_cast<long>(blockIdx.x) * COLUMNS + column, first = blockIdx.y * g.chunk;
  const long end = first + g.chunk < g.rows ? first + g.chunk : g.rows;
  float a = 0, b = 0;
  if (c < g.c)
    for (long row = first + lane; row < end; row += NORM_LANES) terms(row, first, c, a, b);
  float* const sums = reinterpret_cast<float*>(sharedMemory());
  sums[threadIdx.x] = a, sums[BLOCK + threadIdx.x] = b;
  blockBarrier();
  if (lane > 0 || c >= g.c) return;
  double total[2] = {0, 0};
  for (int k = 0; k < NORM_LANES; k++)
    total[0] += sums[k * COLUMNS + column], total[1] += sums[BLOCK + k * COLUMNS + column];
  partial[(blockIdx.y * 2) * g.c + c] = total[0], partial[(blockIdx.y * 2 + 1) * g.c + c] = total[1];
}

struct Centred {  // d and d^2, d from the chunk's first row
  const float* x;
  long c;
  __device__ __forceinline__ void operator()(long row, long first, long k, float& a, float& b) const {
    const float d = x[row * c + k] - x[first * c + k];
    a += d, b = fmaf(d, d, b);
  }
};
struct MergeChunks {  // of a channel: mean and biased variance
  NormShape g;
  const float* x;
  const double* partial;
  float *mean, *variance;
  __device__ __forceinline__ void operator()(long k) const {
    double m = 0, m2 = 0, n = 0;
    for (long t = 0; t < g.chunks; t++) {
      const double left = static_cast<double>(g.rows - t * g.chunk), size = left < g.chunk ? left : g.chunk;
      const double shift = partial[(t * 2) * g.c + k], squares = partial[(t * 2 + 1) * g.c + k];
      const double delta = x[t * g.chunk * g.c + k] + shift / size - m, share = size / (n + size);
      m += delta * share, m2 += squares - shift * shift / size + delta * delta * n * share, n += size;
    }
    mean[k] = static_cast<float>(m), variance[k] = static_cast<float>(m2 > 0 || m2 != m2 ? m2 / n : 0);
  }
};
struct Normalize {  // y = f((x - m) gamma / sqrt(v + epsilon) + beta)
  const float *x, *gamma, *beta, *mean, *variance;
  float* y;
  long c;
  double epsilon;
  Activate activate;
  __device__ __forceinline__ void operator()(long i) const {
    const long k = i % c;
    const float a = static_cast<float>(gamma[k] / ::sqrt(variance[k] + epsilon));
    y[i] = activate(fmaf(x[i] - mean[k], a, beta[k]));
  }
};

OP(batchNorm2d, "epsilon activation slope") {  // x, gamma, beta -> y, mean [C], variance [C] (biased)
  const NormShape g(s.in[0]);
  const float* const x = s.in[0].f32();
  double* const partial = static_cast<double*>(s.scratch);
  float* const spare = reinterpret_cast<float*>(partial + g.chunks * 2 * g.c);  // what nobody else reads
  float* const mean = s.out[1] ? s.out[1].f32() : spare;
  float* const variance = s.out[2] ? s.out[2].f32() : spare + g.c;
  launch(normSumsKernel<Centred>, g.grid(), BLOCK, NORM_ROOM, l.stream, g, Centred{x, g.c}, partial);
  each(g.c, l, MergeChunks{g, x, partial, mean, variance});
  if (s.out[0])
    each(s.out[0].size(), l,
         Normalize{x, s.in[1].f32(), s.in[2].f32(), mean, variance, s.out[0].f32(), g.c, s.attr("epsilon"),
                   Activate(s)});
}
SCRATCH(batchNorm2d) {
  const NormShape g(s.in[0]);
  return g.scratch() + static_cast<size_t>(2 * g.c) * sizeof(float);
}
OP(batchNorm2dInference, "epsilon activation slope") {  // x, gamma, beta, mean, variance -> y
  each(s.out[0].size(), l,
       Normalize{s.in[0].f32(), s.in[1].f32(), s.in[2].f32(), s.in[3].f32(), s.in[4].f32(), s.out[0].f32(),
                 s.in[0].dim(-1), s.attr("epsilon"), Activate(s)});
}

struct NormGradTerms {  // dz and dz xhat
  const float *dy, *x, *mean, *variance, *y;
  long c;
  double epsilon;
  Activate activate;
  __device__ __forceinline__ float dz(long i) const { return activate.before(dy[i], y ? y[i] : 0.f); }
  __device__ __forceinline__ float inverse(long k) const {
    return static_cast<float>(1 / ::sqrt(variance[k] + epsilon));
  }
  __device__ __forceinline__ void operator()(long row, long, long k, float& a, float& b) const {
    const float d = dz(row * c + k), xhat = (x[row * c + k] - mean[k]) * inverse(k);
    a += d, b = fmaf(d, xhat, b);
  }
};
struct MergeGrad {  // of a channel: dgamma, dbeta and what dx takes off
  NormShape g;
  const double* partial;
  float *dgamma, *dbeta, *takeSum, *takeDot;
  bool frozen;
  __device__ __forceinline__ void operator()(long k) const {
    double sum = 0, dot = 0;
    for (long t = 0; t < g.chunks; t++) sum += partial[(t * 2) * g.c + k], dot += partial[(t * 2 + 1) * g.c + k];
    if (dgamma) dgamma[k] = static_cast<float>(dot);
    if (dbeta) dbeta[k] = static_cast<float>(sum);
    takeSum[k] = frozen ? 0.f : static_cast<float>(sum / g.rows);
    takeDot[k] = frozen ? 0.f : static_cast<float>(dot / g.rows);
  }
};
struct NormGrad {
  NormGradTerms t;
  const float *gamma, *takeSum, *takeDot;
  float* dx;
  __device__ __forceinline__ void operator()(long i) const {
    const long k = i % t.c;
    const float inverse = t.inverse(k), xhat = (t.x[i] - t.mean[k]) * inverse;
    dx[i] = gamma[k] * inverse * (t.dz(i) - takeSum[k] - xhat * takeDot[k]);
  }
};

// dx = gamma / sqrt(variance + epsilon) * (dz - dbeta / n - xhat dgamma / n), the last two terms only where mean and
// variance are the batch's own (frozen = 0).
OP(batchNorm2dGrad, "epsilon frozen activation slope") {  // dy, x, gamma, mean, variance, [y] -> dx, dgamma, dbeta
  const NormShape g(s.in[0]);
  const NormGradTerms terms{
      s.in[0].f32(), s.in[1].f32(),     s.in[3].f32(), s.in[4].f32(), s.nin > 5 ? s.in[5].f32() : nullptr,
      g.c,           s.attr("epsilon"), Activate(s)};
  double* const partial = static_cast<double*>(s.scratch);
  float *const takeSum = reinterpret_cast<float*>(partial + g.chunks * 2 * g.c), *const takeDot = takeSum + g.c;
  launch(normSumsKernel<NormGradTerms>, g.grid(), BLOCK, NORM_ROOM, l.stream, g, terms, partial);
  each(g.c, l,
       MergeGrad{g, partial, s.out[1] ? s.out[1].f32() : nullptr, s.out[2] ? s.out[2].f32() : nullptr, takeSum, takeDot,
                 s.attr("frozen") != 0});
  if (s.out[0]) each(s.out[0].size(), l, NormGrad{terms, s.in[2].f32(), takeSum, takeDot, s.out[0].f32()});
}
SCRATCH(batchNorm2dGrad) {
  const NormShape g(s.in[0]);
  return g.scratch() + static_cast<size_t>(2 * g.c) * sizeof(float);
}

struct NormUpdate {  // running <- (1 - momentum) running + momentum * batch, the variance made unbiased: n / (n - 1)
  float *mean, *variance;
  const float *batchMean, *batchVariance;
  double momentum, unbias;
  __device__ __forceinline__ void operator()(long k) const {
    mean[k] = static_cast<float>((1 - momentum) * mean[k] + momentum * batchMean[k]);
    variance[k] = static_cast<float>((1 - momentum) * variance[k] + momentum * unbias * batchVariance[k]);
  }
};
OP(batchNorm2dUpdate, "momentum count") {  // running mean, running variance (both written), mean, variance
  const double n = s.attr("count");
  eachCommitted(s.in[0].size(), l,
                NormUpdate{s.in[0].f32(), s.in[1].f32(), s.in[2].f32(), s.in[3].f32(), s.attr("momentum"),
                           n > 1 ? n / (n - 1) : 1});
}

}  // namespace cuda
}  // namespace bayes
