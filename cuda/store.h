// Numbered buffers on one card, and the stream on which all that concerns them happens in order.
#pragma once
#include <memory>
#include <string>
#include <vector>
#include "card.h"

namespace bayes {
namespace cuda {

struct Block {
  int device;
  char* data = nullptr;
  int64_t bytes = 0;
  bool freed = false;  // by the store, while a plan still points into it
  Block(int on, int64_t n) : device(on), data(static_cast<char*>(allocate(on, n))), bytes(n) {}
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  ~Block() { release(data); }
};
typedef std::shared_ptr<Block> Held;

struct Store {
  const int device;
  Stream stream = nullptr;
  std::vector<Held> buffers;  // null: free

  explicit Store(int on);
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;
  ~Store();

  Held zeroed(int64_t bytes);
  void wait() { succeed(cudaStreamSynchronize(stream), "run on the GPU"); }
  // What to say of an error behind which the card does not answer any more; empty where it does. Waits for this stream
  // alone: to wait for the whole card is an error, and the end of a recording, while another thread records a graph.
  std::string lost();
  void upload(void* to, const void* from, int64_t bytes);
  void download(void* to, const void* from, int64_t bytes);  // has arrived when the stream has been waited for

  const Held& at(int32_t index, int64_t offset, int64_t bytes);
  int32_t alloc(int64_t bytes);
  void free(int32_t index);
  void read(int32_t index, int64_t offset, void* data, int64_t bytes);
  void write(int32_t index, int64_t offset, const void* data, int64_t bytes);
};

}  // namespace cuda
}  // namespace bayes
