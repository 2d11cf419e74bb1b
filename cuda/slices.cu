#include "slices.h"

namespace bayes {
namespace cuda {
namespace {

constexpr int THREADS = 256;
constexpr long SMALL = 4096;  // words that one block moves

__device__ __forceinline__ void move(char* to, const char* from, long words, long first, long by) {
#pragma unroll 1
  for (long i = first; i < words; i += by) {
    float v[4];
    load4(v, reinterpret_cast<const float*>(from) + 4 * i);
    store4(reinterpret_cast<float*>(to) + 4 * i, v);
  }
}

__global__ void __launch_bounds__(THREADS) loadKernel(const Slice* slices, const Fault* fault) {
  const Slice s = slices[blockIdx.y];
  const long first = static_cast<long>(blockIdx.x) * THREADS + threadIdx.x;
  move(s.slot, s.staged + fault->now * s.stride, s.words, first, static_cast<long>(gridDim.x) * THREADS);
}
__global__ void __launch_bounds__(THREADS) saveKernel(const Slice* slices, const Fault* fault) {
  const Slice s = slices[blockIdx.y];
  const long first = static_cast<long>(blockIdx.x) * THREADS + threadIdx.x;
  move(s.staged + fault->now * s.stride, s.slot, s.words, first, static_cast<long>(gridDim.x) * THREADS);
}
__global__ void __launch_bounds__(THREADS) saveAndCountKernel(const Slice* slices, int count, Fault* fault) {
  const int now = fault->now;
  for (int k = 0; k < count; k++) {
    const Slice s = slices[k];
    move(s.staged + now * s.stride, s.slot, s.words, threadIdx.x, THREADS);
  }
  blockBarrier();
  if (threadIdx.x == 0) fault->now = now + 1;
}

}  // namespace

void Slices::layOut(const std::vector<int64_t>& sizes) {
  bytes = sizes;
  for (int64_t n : sizes) {
    places.push_back(total);
    total += roundUp(n ? n : 1, 256);
    if (roundUp(n, 16) / 16 > most) most = roundUp(n, 16) / 16;
  }
  host.resize(sizes.size());
}
void Slices::make(Store& store, int chunk) {
  slots = store.zeroed(total);
  staging = store.zeroed(chunk > 1 ? total * chunk : 0);
  table = store.zeroed(static_cast<int64_t>(host.size() * sizeof(Slice)));
}

void Slices::upload(Store& store, int first, const std::vector<bool>& direct, int chunk) {
  for (size_t i = 0; i < host.size(); i++) {
    const int64_t stride = roundUp(bytes[i], 16);
    host[i] = {slot(static_cast<int>(i)), direct[i] ? nullptr : staged(static_cast<int>(i), chunk) - first * stride,
               direct[i] ? 0 : stride / 16, stride};
  }
  if (!host.empty()) store.upload(table->data, host.data(), static_cast<int64_t>(host.size() * sizeof(Slice)));
}

void Slices::load(Stream stream, const Card& card, const Fault* fault) const {
  if (!most) return;
  const long wanted = ceilDiv(most, THREADS), blocks = wanted < card.sms ? wanted : card.sms;
  launch(loadKernel, dim3(static_cast<unsigned>(blocks), static_cast<unsigned>(host.size())), THREADS, 0, stream,
         onDevice(), fault);
}
void Slices::save(Stream stream, const Card& card, Fault* fault) const {
  const int count = static_cast<int>(host.size());
  if (total / 16 <= SMALL) return launch(saveAndCountKernel, 1, THREADS, 0, stream, onDevice(), count, fault);
  const long wanted = ceilDiv(most, THREADS), blocks = wanted < card.sms ? wanted : card.sms;
  launch(saveKernel, dim3(static_cast<unsigned>(blocks), static_cast<unsigned>(count)), THREADS, 0, stream, onDevice(),
         static_cast<const Fault*>(fault));
  launch(saveAndCountKernel, 1, THREADS, 0, stream, onDevice(), 0, fault);
}

}  // namespace cuda
}  // namespace bayes
