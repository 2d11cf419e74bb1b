// What the emulator has to find: kernels that are wrong in one way each, and the sentence that says so. And what it
// has to let pass, since a checker that cries wolf is switched off.
#include <stdio.h>
#include <stdlib.h>
#include "cuda/gpu.h"

namespace {
int failures;
emu::Stream stream;

// ---- right
__global__ void sumInTurn(const float* x, float* y) {  // through shared memory, with barriers
  float* const s = reinterpret_cast<float*>(sharedMemory());
  const int t = static_cast<int>(threadIdx.x);
  s[t] = x[t];
  blockBarrier();
  float sum = 0;
  for (int i = 0; i < 64; i++) sum += s[i];
  blockBarrier();
  s[t] = sum;
  y[t] = s[t];
}
__global__ void neighbouringBytes(uint8_t* y) { y[threadIdx.x + 64 * blockIdx.x] = static_cast<uint8_t>(threadIdx.x); }
__global__ void withinWarp(float* y) {
  float* const s = reinterpret_cast<float*>(sharedMemory());
  s[threadIdx.x] = 1;
  warpBarrier();
  y[threadIdx.x] = s[threadIdx.x ^ 1];
}
__global__ void copied(const float* x, float* y) {
  float* const s = reinterpret_cast<float*>(sharedMemory());
  copyAsync4(s + threadIdx.x, x + threadIdx.x, threadIdx.x < 60);
  copyCommit();
  copyWait<0>();
  y[threadIdx.x] = s[threadIdx.x];
}

// ---- wrong
__global__ void beyond(float* y) { y[threadIdx.x + 1] = 1; }
__global__ void beyondShared(float* y) { reinterpret_cast<float*>(sharedMemory())[threadIdx.x + 1] = *y; }
__global__ void unwritten(const float* x, float* y) { y[threadIdx.x] = x[threadIdx.x]; }
__global__ void unwrittenShared(float* y) { y[threadIdx.x] = reinterpret_cast<float*>(sharedMemory())[threadIdx.x]; }
__global__ void sharedRace(float* y) {
  float* const s = reinterpret_cast<float*>(sharedMemory());
  s[threadIdx.x] = 1;
  y[threadIdx.x] = s[(threadIdx.x + 32) % 64];  // of another warp
}
__global__ void warpRace(float* y) {
  float* const s = reinterpret_cast<float*>(sharedMemory());
  s[threadIdx.x] = exchange(1.f, 1);
  y[threadIdx.x] = s[threadIdx.x ^ 1];  // an exchange orders no memory
}
__global__ void writeAfterRead(float* y) {
  float* const s = reinterpret_cast<float*>(sharedMemory());
  s[threadIdx.x] = 1;
  blockBarrier();
  const float other = s[63 - threadIdx.x];
  s[threadIdx.x] = other + 1;
  y[threadIdx.x] = other;
}
__global__ void blocksWrite(float* y) { y[threadIdx.x] = 1; }
__global__ void blocksReadAndWrite(float* y) {
  if (blockIdx.x == 0) y[threadIdx.x] = y[threadIdx.x] + 1;
  else if (y[63 - threadIdx.x] == 7) y[64 + threadIdx.x] = 1;
}
__global__ void threadsWrite(float* y) { y[threadIdx.x / 2] = 1; }
__global__ void someAtBarrier(float* y) {
  if (threadIdx.x < 40) blockBarrier();
  y[threadIdx.x] = 1;
}
__global__ void someAtCollective(float* y) {
  if (threadIdx.x % 2) y[threadIdx.x] = exchange(1.f, 1);
}
__global__ void notWaited(const float* x, float* y) {
  float* const s = reinterpret_cast<float*>(sharedMemory());
  copyAsync4(s + threadIdx.x, x + threadIdx.x, true);
  copyCommit();
  y[threadIdx.x] = s[threadIdx.x];
  copyWait<0>();
}
__global__ void notCommitted(const float* x, float*) {
  copyAsync4(reinterpret_cast<float*>(sharedMemory()) + threadIdx.x, x + threadIdx.x, true);
}
__global__ void unaligned(const float* x, float* y) {
  float v[4];
  load4(v, x + 1);
  store4(y, v);
}
__global__ void hostMemory(float* y, const float* host) { y[threadIdx.x] = *host; }

struct Memory {  // 128 floats on the device
  float* p;
  explicit Memory(bool written) {
    cudaMalloc(reinterpret_cast<void**>(&p), 128 * 4);
    if (written) cudaMemsetAsync(p, 0, 128 * 4, &stream);
  }
  ~Memory() { cudaFree(p); }
};
template <class F>
void expect(const char* name, const char* part, F launchIt) {
  std::string why;
  try {
    launchIt();
  } catch (const std::runtime_error& e) { why = e.what(); }
  if (part ? why.find(part) != std::string::npos : why.empty()) return;
  printf("FAILED %s: expected %s, received %s\n", name, part ? part : "no fault", why.empty() ? "no fault" : why.c_str());
  failures++;
}
#define RIGHT(KERNEL, BLOCKS, ...) expect(#KERNEL, nullptr, [&] { launch(KERNEL, BLOCKS, 64, 256, &stream, __VA_ARGS__); })
#define WRONG(KERNEL, BLOCKS, PART, ...) \
  expect(#KERNEL, PART, [&] { launch(KERNEL, BLOCKS, 64, 256, &stream, __VA_ARGS__); })
}  // namespace

int main() {
  Memory x(true), y(true), fresh(false);
  const float* const in = x.p;
  float* const out = y.p;
  RIGHT(sumInTurn, 1, in, out);
  RIGHT(neighbouringBytes, 2, reinterpret_cast<uint8_t*>(out));
  RIGHT(withinWarp, 1, out);
  RIGHT(copied, 1, in, out);
  WRONG(beyond, 1, "write at 512 of a buffer of 512 bytes", out + 64);
  WRONG(beyondShared, 1, "access beyond the shared memory", out);
  WRONG(unwritten, 1, "device memory read that nothing has written", static_cast<const float*>(fresh.p), out);
  WRONG(unwrittenShared, 1, "shared memory read that nothing has written", out);
  WRONG(sharedRace, 1, "shared memory", out);
  WRONG(warpRace, 1, "shared memory", out);
  WRONG(writeAfterRead, 1, "race: shared memory", out);
  WRONG(blocksWrite, 2, "race: two threads of a launch write a word of device memory", out);
  WRONG(blocksReadAndWrite, 2, "race: device memory", out);
  WRONG(threadsWrite, 1, "race: two threads of a launch write", out);
  WRONG(someAtBarrier, 1, "barrier", out);
  WRONG(someAtCollective, 1, "collective", out);
  WRONG(notWaited, 1, "before its cp.async was waited for", in, out);
  WRONG(notCommitted, 1, "never committed", in, out);
  WRONG(unaligned, 1, "16 bytes at an address that is no multiple of it", in, out);
  float local = 1;
  WRONG(hostMemory, 1, "host's memory", out, static_cast<const float*>(&local));
  expect("freed", "where no buffer is", [&] {
    float* gone;
    { Memory m(true); gone = m.p; }
    launch(blocksWrite, 1, 64, 0, &stream, gone);
  });
  expect("grid", "grid", [&] { launch(blocksWrite, dim3(1, 70000), 64, 0, &stream, out); });
  expect("shared", "more shared memory", [&] { launch(blocksWrite, 1, 64, 300 << 10, &stream, out); });
  expect("after faults", nullptr, [&] { launch(blocksWrite, 1, 64, 0, &stream, out); });

  // what a capture forbids, and that it runs nothing until it is replayed
  cudaMemsetAsync(out, 0, 512, &stream);
  cudaStreamBeginCapture(&stream, cudaStreamCaptureModeThreadLocal);
  launch(blocksWrite, 1, 64, 0, &stream, out);
  void* p;
  float got = 0;
  const bool refused = cudaMalloc(&p, 4) && cudaStreamSynchronize(&stream) && cudaMemcpyAsync(&got, out, 4, cudaMemcpyDeviceToHost, &stream);
  cudaGraph_t graph;
  cudaGraphExec_t exec;
  cudaStreamEndCapture(&stream, &graph);
  cudaGraphInstantiate(&exec, graph, 0);
  cudaMemcpyAsync(&got, out, 4, cudaMemcpyDeviceToHost, &stream);
  const bool early = got != 0;
  cudaGraphLaunch(exec, &stream);
  cudaMemcpyAsync(&got, out, 4, cudaMemcpyDeviceToHost, &stream);
  if (!refused || early || got != 1) printf("FAILED capture: %d %d %g\n", refused, early, static_cast<double>(got)), failures++;
  printf("%d failed\n", failures);
  return failures != 0;
}
