// What the machine can do: fused multiply-adds (GFLOP/s) and a stream triad (GB/s) on the given number of threads, best
// of several. bench/machine.mjs compiles it with -O3 -march=native.
#ifdef __linux__
#include <sched.h>
#endif
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#if defined(__AVX512F__)
constexpr int BYTES = 64, CHAINS = 24;
#elif defined(__AVX__)
constexpr int BYTES = 32, CHAINS = 12;
#else
constexpr int BYTES = 16, CHAINS = 12;
#endif
typedef float Vector __attribute__((vector_size(BYTES)));
constexpr int LANES = BYTES / 4;
constexpr long ROUNDS = 8'000'000;
constexpr long FLOATS = 16L << 20;  // 64 MiB an array: beyond any cache share that counts

volatile float zero = 0;  // keeps the compiler from knowing the results

// independent chains of acc = acc * a + b: enough of them to hide the latency of one
static float chains() {
  Vector acc[CHAINS], a = {}, b = {};
  a += 0.999f + zero;
  b += 0.001f + zero;
  for (Vector& v : acc) v = b;
  for (long i = 0; i < ROUNDS; i++) {
#pragma GCC unroll 24
    for (int k = 0; k < CHAINS; k++) acc[k] = acc[k] * a + b;
  }
  float sum = 0;
  for (Vector v : acc)
    for (int l = 0; l < LANES; l++) sum += v[l];
  return sum;
}

// Thread t stays on the t-th processor that this process may use: a run is too short for the scheduler to spread
// threads.
static void pin(int t) {
#ifdef __linux__
  static const cpu_set_t allowed = [] {
    cpu_set_t set;
    sched_getaffinity(0, sizeof set, &set);
    return set;
  }();
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
    if (CPU_ISSET(cpu, &allowed) && t-- == 0) {
      cpu_set_t one;
      CPU_ZERO(&one);
      CPU_SET(cpu, &one);
      sched_setaffinity(0, sizeof one, &one);
      return;
    }
#else
  (void)t;
#endif
}

template <class Work>
static double seconds(int threads, Work work) {
  std::atomic<int> ready{0};
  std::atomic<bool> go{false};
  std::vector<std::thread> team;
  for (int t = 1; t < threads; t++)
    team.emplace_back([&, t] {
      pin(t);
      ready++;
      while (!go) {}
      work(t);
    });
  while (ready < threads - 1) {}
  const auto start = std::chrono::steady_clock::now();
  go = true;
  work(0);
  for (auto& t : team) t.join();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 1;
  pin(0);
  double fma = 0, triad = 0;
  volatile float sink = 0;
  for (int i = 0; i < 7; i++) {
    const double flops = 2.0 * threads * ROUNDS * CHAINS * LANES;
    const double gigaflops = flops / 1e9 / seconds(threads, [&](int) { sink = chains(); });
    if (gigaflops > fma) fma = gigaflops;
  }
  std::vector<float> x(FLOATS, 1), y(FLOATS, 2), z(FLOATS, 3);
  const float factor = 3 + zero;
  for (int i = 0; i < 5; i++) {
    const double time = seconds(threads, [&](int t) {
      const long from = FLOATS / threads * t, to = FLOATS / threads * (t + 1);
      float* __restrict out = z.data();
      for (long k = from; k < to; k++) out[k] = x[k] + factor * y[k];
    });
    const double gigabytes = 12.0 * FLOATS / 1e9 / time;
    if (gigabytes > triad) triad = gigabytes;
  }
  std::printf("{\"fma\": %.1f, \"triad\": %.1f}\n", fma, triad);
}
