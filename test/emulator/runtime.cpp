// The CUDA runtime of runtime.h.
#include <stdio.h>
#include <string.h>
#include "emu.h"

namespace emu {
size_t available();
size_t total();

namespace {
thread_local int capturing = 0;  // streams of this thread that record a graph
thread_local char lastFault[512];

bool failing(const char* how) {
  const char* f = getenv("BAYESCNN_EMULATED_FAIL");
  return f && !strcmp(f, how);
}
}  // namespace

const char* enqueue(Stream* stream, Job job) {
  if (!stream->capture) return job();
  stream->capture->push_back(std::move(job));
  return nullptr;
}
}  // namespace emu

using emu::counters;

const char* cudaGetErrorString(cudaError_t e) {
  switch (e) {
    case cudaSuccess:
      return "no error";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorInsufficientDriver:
      return "CUDA driver version is insufficient for CUDA runtime version";
    case cudaErrorNoDevice:
      return "no CUDA-capable device is detected";
    case cudaErrorInvalidDevice:
      return "invalid device ordinal";
    case cudaErrorIllegalAddress:
      return *emu::lastFault ? emu::lastFault : "an illegal memory access was encountered";
    case cudaErrorStreamCaptureUnsupported:
      return "operation not permitted when stream is capturing";
    default:
      return "invalid argument";
  }
}
cudaError_t cudaDriverGetVersion(int* version) {
  *version = emu::failing("driver") ? 0 : emu::failing("old") ? 12040 : 13000;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) { return *version = 13000, cudaSuccess; }
cudaError_t cudaGetDeviceCount(int* count) {
  *count = 0;
  if (emu::failing("driver") || emu::failing("old")) return cudaErrorInsufficientDriver;
  if (emu::failing("none")) return cudaErrorNoDevice;
  return *count = 1, cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int) {
  *p = {};
  snprintf(p->name, sizeof p->name, "host emulator");
  p->major = emu::failing("capability") ? 7 : 9, p->minor = emu::failing("capability") ? 5 : 0;
  p->multiProcessorCount = 4, p->sharedMemPerBlockOptin = 227 * 1024, p->totalGlobalMem = emu::total();
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  if (emu::failing("full")) return cudaErrorMemoryAllocation;
  return device == 0 ? cudaSuccess : cudaErrorInvalidDevice;
}
cudaError_t cudaGetLastError() { return cudaSuccess; }
cudaError_t cudaMalloc(void** p, size_t bytes) {
  if (emu::capturing) return cudaErrorStreamCaptureUnsupported;
  *p = emu::allocate(bytes);
  return *p ? cudaSuccess : cudaErrorMemoryAllocation;
}
cudaError_t cudaFree(void* p) {
  if (emu::capturing) return cudaErrorStreamCaptureUnsupported;
  return !p || emu::release(p) ? cudaSuccess : cudaErrorInvalidValue;
}
cudaError_t cudaMemGetInfo(size_t* available, size_t* total) {
  return *available = emu::available(), *total = emu::total(), cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t s) {
  if (!emu::owns(to, bytes)) return cudaErrorInvalidValue;
  emu::enqueue(s, [=]() -> const char* { return memset(to, value, bytes), emu::hostWrote(to, bytes), nullptr; });
  return cudaSuccess;
}
cudaError_t cudaMemcpy2DAsync(void* to, size_t toPitch, const void* from, size_t fromPitch, size_t width, size_t height,
                              cudaMemcpyKind kind, cudaStream_t s) {
  if (s->capture) return cudaErrorStreamCaptureUnsupported;
  if (!width || !height) return cudaSuccess;
  if (toPitch < width || fromPitch < width) return cudaErrorInvalidValue;
  const bool up = kind == cudaMemcpyHostToDevice;
  const size_t toBytes = toPitch * (height - 1) + width, fromBytes = fromPitch * (height - 1) + width;
  if (emu::owns(to, toBytes) != up || emu::owns(from, fromBytes) == up) return cudaErrorInvalidValue;
  for (size_t i = 0; i < height; i++) {
    char* const row = static_cast<char*>(to) + i * toPitch;
    memcpy(row, static_cast<const char*>(from) + i * fromPitch, width);
    if (up) emu::hostWrote(row, width);
  }
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t s) {
  return cudaMemcpy2DAsync(to, bytes, from, bytes, bytes, 1, kind, s);
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* s, unsigned) { return *s = new emu::Stream, cudaSuccess; }
cudaError_t cudaStreamDestroy(cudaStream_t s) { return delete s, cudaSuccess; }
cudaError_t cudaStreamSynchronize(cudaStream_t s) {
  if (s->capture) return cudaErrorStreamCaptureUnsupported;
  return counters.synchronisations++, emu::failing("lost") ? cudaErrorIllegalAddress : cudaSuccess;
}
cudaError_t cudaStreamBeginCapture(cudaStream_t s, cudaStreamCaptureMode) {
  if (s->capture) return cudaErrorStreamCaptureUnsupported;
  return s->capture = new std::vector<emu::Job>, emu::capturing++, cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t* graph) {
  if (!s->capture) return cudaErrorInvalidValue;
  *graph = new emu::Graph{std::move(*s->capture)};
  delete s->capture;
  return s->capture = nullptr, emu::capturing--, cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  return *exec = new emu::Graph(*graph), cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) { return delete graph, cudaSuccess; }
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) { return delete exec, cudaSuccess; }
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t s) {
  if (s->capture) return cudaErrorStreamCaptureUnsupported;
  counters.graphLaunches++;
  for (const emu::Job& job : exec->jobs)
    if (const char* why = job())
      return snprintf(emu::lastFault, sizeof emu::lastFault, "%s", why), cudaErrorIllegalAddress;
  return cudaSuccess;
}

extern "C" __attribute__((visibility("default"))) const emu::Counters* emulatedCounters() { return &counters; }
