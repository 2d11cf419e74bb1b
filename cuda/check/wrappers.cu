// Does each wrapper of cuda/gpu.h do on this device what its comment says? The only PTX of the library is there, and an
// emulator cannot see what PTX does. Compiled with nvcc for a GPU, with g++ -x c++ -DEMULATED for the emulator.
#include <cmath>
#include <cstdio>
#include <vector>
#include "cuda/gpu.h"

namespace {

constexpr int LANES = 32;

// out[0 .. 8 LANES): by 16 and by 4 bytes, every third lane's source not valid, and left to fly behind one another.
__global__ void copies(const float* x, float* out) {
  float* const s = reinterpret_cast<float*>(sharedMemory());
  const int t = static_cast<int>(threadIdx.x);
  for (int i = 0; i < 4; i++) s[4 * t + i] = 7, s[4 * LANES + 4 * t + i] = 7;
  blockBarrier();
  copyAsync16(s + 4 * t, x + 4 * t, t % 3 != 0);
  copyCommit();
  for (int i = 0; i < 4; i++) copyAsync4(s + 4 * LANES + 4 * t + i, x + 4 * LANES + 4 * t + i, (t + i) % 3 != 0);
  copyCommit();
  copyWait<1>();
  blockBarrier();
  float first[4];
  load4(first, s + 4 * (LANES - 1 - t));
  store4(out + 4 * (LANES - 1 - t), first);
  copyWait<0>();
  blockBarrier();
  for (int i = 0; i < 4; i++) out[4 * LANES + 4 * t + i] = s[4 * LANES + 4 * t + i];
}

__global__ void rounded(const float* x, float* asTf32, float* asPair) {
  const int t = static_cast<int>(threadIdx.x);
  asTf32[t] = floatOf(static_cast<int32_t>(tf32(x[t])));
  asPair[t] = floatOf(static_cast<int32_t>(pairBf16(x[t], x[LANES - 1 - t])));
}

// d += a b by the layouts of the comments; a [16, 8], b [8, 8], d [16, 8].
__global__ void product(const float* a, const float* b, float* d) {
  const int g = static_cast<int>(threadIdx.x) / 4, t = static_cast<int>(threadIdx.x) % 4;
  const uint32_t fa[4] = {tf32(a[g * 8 + t]), tf32(a[(g + 8) * 8 + t]), tf32(a[g * 8 + t + 4]),
                          tf32(a[(g + 8) * 8 + t + 4])};
  const uint32_t fb[2] = {tf32(b[t * 8 + g]), tf32(b[(t + 4) * 8 + g])};
  float sum[4] = {1, 2, 3, 4};
  mma(sum, fa, fb);
  d[g * 8 + 2 * t] = sum[0], d[g * 8 + 2 * t + 1] = sum[1];
  d[(g + 8) * 8 + 2 * t] = sum[2], d[(g + 8) * 8 + 2 * t + 1] = sum[3];
}
// a [16, 16], b [16, 8].
__global__ void productBf16(const float* a, const float* b, float* d) {
  const int g = static_cast<int>(threadIdx.x) / 4, t = static_cast<int>(threadIdx.x) % 4;
  uint32_t fa[4], fb[2];
  for (int i = 0; i < 4; i++) {
    const float* const p = a + (g + 8 * (i % 2)) * 16 + 2 * t + 8 * (i / 2);
    fa[i] = pairBf16(p[0], p[1]);
  }
  for (int i = 0; i < 2; i++) fb[i] = pairBf16(b[(2 * t + 8 * i) * 8 + g], b[(2 * t + 8 * i + 1) * 8 + g]);
  float sum[4] = {1, 2, 3, 4};
  mmaBf16(sum, fa, fb);
  d[g * 8 + 2 * t] = sum[0], d[g * 8 + 2 * t + 1] = sum[1];
  d[(g + 8) * 8 + 2 * t] = sum[2], d[(g + 8) * 8 + 2 * t + 1] = sum[3];
}

__global__ void exchanged(const float* x, float* out) {
  const int t = static_cast<int>(threadIdx.x);
  const float f = exchange(x[t], 5);
  const int32_t i = exchange(static_cast<int32_t>(t), 16);
  const double d = exchange(1e-9 * t, 1);
  warpBarrier();
  out[t] = f, out[LANES + t] = static_cast<float>(i), out[2 * LANES + t] = static_cast<float>(d * 1e9);
}

__global__ void faulty(bayes::cuda::Fault* fault, int32_t code, float* out) {
  raise(fault, code, 5, code + 1, code + 2);
  out[0] = stopped(fault) ? 1.f : 0.f;
}

// ---- the host's side
int failures;
Stream stream;

template <class T>
struct Memory {
  T* device = nullptr;
  size_t count;
  explicit Memory(const std::vector<T>& from) : count(from.size()) {
    succeed(cudaMalloc(reinterpret_cast<void**>(&device), bytes()), "memory");
    succeed(cudaMemcpyAsync(device, from.data(), bytes(), cudaMemcpyHostToDevice, stream), "a copy");
    succeed(cudaStreamSynchronize(stream), "a copy");
  }
  ~Memory() { cudaFree(device); }
  size_t bytes() const { return count * sizeof(T); }
  std::vector<T> read() const {
    std::vector<T> to(count);
    succeed(cudaMemcpyAsync(to.data(), device, bytes(), cudaMemcpyDeviceToHost, stream), "a kernel");
    succeed(cudaStreamSynchronize(stream), "a kernel");
    return to;
  }
};
typedef Memory<float> Floats;

template <class F>
std::vector<float> made(size_t n, F f) {
  std::vector<float> v(n);
  for (size_t i = 0; i < n; i++) v[i] = static_cast<float>(f(static_cast<int>(i)));
  return v;
}
template <class F>
void expect(const char* what, const std::vector<float>& got, double tolerance, F want) {
  for (size_t i = 0; i < got.size(); i++) {
    const double right = want(static_cast<int>(i));
    if (std::fabs(got[i] - right) <= tolerance * (1 + std::fabs(right))) continue;
    printf("%s: at %zu, %.9g instead of %.9g\n", what, i, got[i], right);
    failures++;
    return;
  }
  printf("%s: right\n", what);
}
// x with its last bits rounded away, ties away from zero (tf32) or to even (bf16)
float round(float x, int drop, bool even) {
  uint32_t u;
  memcpy(&u, &x, 4);
  const uint32_t half = 1u << (drop - 1);
  u += even ? half - 1 + (u >> drop & 1) : half;
  u &= ~((1u << drop) - 1);
  memcpy(&x, &u, 4);
  return x;
}
float number(int i) { return std::sin(0.7f * static_cast<float>(i) + 0.3f) * (1 + static_cast<float>(i % 5)); }

void all() {
  const auto zeros = [](size_t n) { return std::vector<float>(n); };
  {
    const Floats x(made(8 * LANES, number)), out(zeros(8 * LANES));
    launch(copies, 1, LANES, 8 * LANES * sizeof(float), stream, x.device, out.device);
    expect("copyAsync16, copyAsync4, load4, store4", out.read(), 0, [](int i) {
      const int t = i % (4 * LANES) / 4, valid = i < 4 * LANES ? t % 3 : (t + i % 4) % 3;
      return valid ? number(i) : 0;
    });
  }
  {
    std::vector<float> v = made(LANES, number);
    for (int i = 0; i < 4; i++) {  // ties: of tf32, of bf16, to either side of even
      const uint32_t u[] = {0x3f801000u, 0x3f803000u, 0x3f808000u, 0xbf818000u};
      memcpy(&v[static_cast<size_t>(i)], u + i, 4);
    }
    const Floats x(v), a(zeros(LANES)), pair(zeros(LANES));
    launch(rounded, 1, LANES, 0, stream, x.device, a.device, pair.device);
    expect("tf32", a.read(), 0, [&](int i) { return round(v[static_cast<size_t>(i)], 13, false); });
    const std::vector<float> pairs = pair.read();
    std::vector<float> halves;
    for (const float p : pairs) {
      uint32_t u;
      memcpy(&u, &p, 4);
      const uint32_t parts[] = {u << 16, u & 0xffff0000u};
      float f[2];
      memcpy(f, parts, 8);
      halves.push_back(f[0]), halves.push_back(f[1]);
    }
    expect("pairBf16", halves, 0, [&](int i) {
      const int t = i / 2;
      return round(v[static_cast<size_t>(i % 2 ? LANES - 1 - t : t)], 16, true);
    });
  }
  for (const bool pairs : {false, true}) {
    const int depth = pairs ? 16 : 8, drop = pairs ? 16 : 13;
    const std::vector<float> av = made(16 * static_cast<size_t>(depth), number),
                             bv = made(8 * static_cast<size_t>(depth), [](int i) { return number(3 * i + 1); });
    const Floats a(av), b(bv), d(zeros(16 * 8));
    launch(pairs ? productBf16 : product, 1, LANES, 0, stream, a.device, b.device, d.device);
    expect(pairs ? "mmaBf16" : "mma", d.read(), 1e-5, [&](int i) {
      const int row = i / 8, column = i % 8;
      double sum = 1 + column % 2 + 2 * (row / 8);
      for (int k = 0; k < depth; k++)
        sum += static_cast<double>(round(av[static_cast<size_t>(row * depth + k)], drop, pairs)) *
               round(bv[static_cast<size_t>(k * 8 + column)], drop, pairs);
      return sum;
    });
  }
  {
    const Floats x(made(LANES, number)), out(zeros(3 * LANES));
    launch(exchanged, 1, LANES, 0, stream, x.device, out.device);
    expect("exchange", out.read(), 1e-6, [](int i) {
      const int t = i % LANES;
      return i < LANES ? number(t ^ 5) : i < 2 * LANES ? t ^ 16 : t ^ 1;
    });
  }
  {
    bayes::cuda::Fault none{};
    const Memory<bayes::cuda::Fault> fault({none});
    const Floats out(zeros(1));
    launch(faulty, 1, 1, 0, stream, fault.device, 2, out.device);
    launch(faulty, 1, 1, 0, stream, fault.device, 3, out.device);
    const bayes::cuda::Fault f = fault.read()[0];
    expect("raise, stopped", {static_cast<float>(f.code), static_cast<float>(f.value[1]), out.read()[0]}, 0, [](int i) {
      return i == 0 ? 2 : i == 1 ? 4 : 1;
    });
  }
}

}  // namespace

int main() {
  try {
    succeed(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "a stream");
    all();
  } catch (const std::exception& e) {
    printf("%s\n", e.what());
    failures++;
  }
  printf("%d failed\n", failures);
  return failures ? 1 : 0;
}
