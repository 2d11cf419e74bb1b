#include "store.h"

namespace bayes {
namespace cuda {

Store::Store(int on) : device(on) {
  use(device);
  succeed(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "a stream of the GPU");
}
Store::~Store() {
  cudaSetDevice(device);
  cudaStreamDestroy(stream);
  cudaGetLastError();
}

std::string Store::lost() {
  cudaGetLastError();  // an error of one call alone goes with this
  const cudaError_t e = cudaStreamSynchronize(stream);
  if (e == cudaSuccess) return "";
  return "cuda:" + std::to_string(device) + " has stopped (" + cudaGetErrorString(e) +
         "): what it held is lost, start the program anew";
}

Held Store::zeroed(int64_t bytes) {
  const int64_t whole = roundUp(bytes > 0 ? bytes : 1, 16);
  Held block = std::make_shared<Block>(device, bytes < 0 ? bytes : whole);
  succeed(cudaMemsetAsync(block->data, 0, static_cast<size_t>(whole), stream), "memory of the GPU");
  block->bytes = bytes;
  return block;
}
void Store::upload(void* to, const void* from, int64_t bytes) {
  succeed(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyHostToDevice, stream), "upload");
}
void Store::download(void* to, const void* from, int64_t bytes) {
  succeed(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyDeviceToHost, stream), "download");
}

const Held& Store::at(int32_t index, int64_t offset, int64_t bytes) {
  if (index < 0 || index >= static_cast<int32_t>(buffers.size()) || !buffers[static_cast<size_t>(index)])
    throw std::runtime_error("store: no buffer " + std::to_string(index));
  const Held& block = buffers[static_cast<size_t>(index)];
  if (offset < 0 || bytes < 0 || bytes > block->bytes || offset > block->bytes - bytes)
    throw std::runtime_error("store: access past the end of buffer " + std::to_string(index));
  return block;
}
int32_t Store::alloc(int64_t bytes) {
  use(device);
  Held block = zeroed(bytes);
  size_t i = 0;
  while (i < buffers.size() && buffers[i]) i++;
  if (i == buffers.size()) buffers.emplace_back();
  buffers[i] = std::move(block);
  return static_cast<int32_t>(i);
}
void Store::free(int32_t index) {
  at(index, 0, 0)->freed = true;
  // of a card that has stopped, too, what is freed is freed: others say that it has
  cudaSetDevice(device), cudaStreamSynchronize(stream), cudaGetLastError();
  buffers[static_cast<size_t>(index)].reset();
}
void Store::read(int32_t index, int64_t offset, void* data, int64_t bytes) {
  use(device);
  download(data, at(index, offset, bytes)->data + offset, bytes);
  wait();
}
void Store::write(int32_t index, int64_t offset, const void* data, int64_t bytes) {
  use(device);
  upload(at(index, offset, bytes)->data + offset, data, bytes);
  wait();
}

}  // namespace cuda
}  // namespace bayes
