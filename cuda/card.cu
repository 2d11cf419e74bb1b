#include "card.h"
#include <deque>
#include <mutex>

namespace bayes {
namespace cuda {
namespace {
std::string version(int v) { return std::to_string(v / 1000) + "." + std::to_string(v % 1000 / 10); }
}  // namespace

int deviceCount() {
  int count = 0;
  const cudaError_t e = cudaGetDeviceCount(&count);
  cudaGetLastError();  // a card that is absent is no error of the next call
  return e == cudaSuccess ? count : 0;
}

std::string whyNot(int device, std::string& name) {
  int driver = 0, runtime = 0, count = 0;
  cudaDriverGetVersion(&driver), cudaRuntimeGetVersion(&runtime);
  const cudaError_t e = cudaGetDeviceCount(&count);
  cudaGetLastError();
  if (driver == 0) return "no NVIDIA driver on this machine (libcuda.so.1 was not found)";
  if (driver < runtime / 1000 * 1000)
    return "the NVIDIA driver is too old: expected one of CUDA " + version(runtime / 1000 * 1000) +
           " or newer (R580), received one of CUDA " + version(driver) + "; update the driver";
  if (e == cudaErrorNoDevice || (e == cudaSuccess && count == 0)) return "an NVIDIA driver but no GPU on this machine";
  if (e != cudaSuccess) return std::string("the NVIDIA driver says: ") + cudaGetErrorString(e);
  if (device < 0 || device >= count)
    return "expected a GPU from 0 to " + std::to_string(count - 1) + ", received " + std::to_string(device);
  cudaDeviceProp p;
  if (cudaGetDeviceProperties(&p, device) != cudaSuccess) return "the GPU does not answer";
  const std::string capability = std::to_string(p.major) + "." + std::to_string(p.minor);
  if (p.major < 8)
    return std::string(p.name) + " has compute capability " + capability + ", expected 8.0 or newer (Ampere, 2020)";
  name = "cuda:" + std::to_string(device) + " (" + p.name + ", sm_" + std::to_string(p.major) +
         std::to_string(p.minor) + ")";
  return "";
}

const Card& cardOf(int device) {
  // never destroyed: a run may outlive static variables, where the process exits; a deque, so that references stay
  static std::mutex& lock = *new std::mutex;
  static std::deque<Card>& cards = *new std::deque<Card>;
  const std::lock_guard<std::mutex> hold(lock);
  while (static_cast<int>(cards.size()) <= device) {
    cudaDeviceProp p;
    succeed(cudaGetDeviceProperties(&p, static_cast<int>(cards.size())), "properties of the GPU");
    cards.push_back({p.multiProcessorCount, static_cast<int>(p.sharedMemPerBlockOptin), p.major, p.minor});
  }
  return cards[static_cast<size_t>(device)];
}

void use(int device) { succeed(cudaSetDevice(device), "choice of the GPU"); }

void* allocate(int device, int64_t bytes) {
  void* p = nullptr;
  const cudaError_t e = bytes < 0 ? cudaErrorMemoryAllocation : cudaMalloc(&p, static_cast<size_t>(bytes ? bytes : 1));
  if (e == cudaSuccess) return p;
  cudaGetLastError();
  if (e != cudaErrorMemoryAllocation) succeed(e, "memory of the GPU");
  size_t available = 0, total = 0;
  cudaMemGetInfo(&available, &total);
  throw std::runtime_error("out of memory: " + std::to_string(bytes >> 20) +
                           " MiB were asked for, cuda:" + std::to_string(device) + " has " +
                           std::to_string(available >> 20) + " of " + std::to_string(total >> 20) + " MiB left");
}
void release(void* p) {
  cudaFree(p);
  cudaGetLastError();
}

}  // namespace cuda
}  // namespace bayes
