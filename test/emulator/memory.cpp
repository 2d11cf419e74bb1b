// Allocations of the emulated GPU. Addresses are not used again, so what was freed stays foreign.
#include "memory.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <iterator>
#include <map>
#include <mutex>
#include "emu.h"

namespace emu {
namespace {
constexpr size_t ADDRESSES = size_t{1} << 36, PAGE = 4096, GAP = PAGE;
std::mutex lock;
std::map<const char*, size_t> allocations;
size_t next = PAGE, inUse = 0;

void* reserve(size_t bytes) {
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) fprintf(stderr, "emulator: no address space\n"), abort();
  return p;
}
size_t pages(size_t bytes) { return (bytes + PAGE - 1) / PAGE * PAGE; }
size_t capacity() {
  static const size_t bytes = [] {
    const char* mib = getenv("BAYESCNN_EMULATED_MEMORY");
    return static_cast<size_t>(mib ? atol(mib) : 4096) << 20;
  }();
  return bytes;
}
void mark(void* p, size_t bytes, bool written) {
  const Device& d = device();
  char* const from = static_cast<char*>(p);
  for (size_t i = 0; i < bytes;) {
    Word& w = *d.of(from + i);
    const size_t first = static_cast<size_t>(from + i - d.base) % 4, n = 4 - first < bytes - i ? 4 - first : bytes - i;
    const uint8_t bits = static_cast<uint8_t>(((1u << n) - 1) << first);
    w.written = static_cast<uint8_t>(written ? w.written | bits : w.written & ~bits);
    if (!written) w.writer = w.reader = 0;
    i += n;
  }
}
}  // namespace

const Device& device() {
  static const Device d = {static_cast<char*>(reserve(ADDRESSES)), ADDRESSES,
                           static_cast<Word*>(reserve(ADDRESSES / 4 * sizeof(Word)))};
  return d;
}

void* allocate(size_t bytes) {
  const std::lock_guard<std::mutex> hold(lock);
  const Device& d = device();
  if (bytes > capacity() || inUse > capacity() - bytes || pages(bytes) + GAP > d.bytes - next) return nullptr;
  char* p = d.base + next;
  next += pages(bytes) + GAP, inUse += bytes, counters.allocations++;
  allocations[p] = bytes;
  memset(p, 0xff, bytes);  // NaNs
  for (size_t i = 0; i < bytes; i += 4) d.of(p + i)->state = ALLOCATED;
  return p;
}
bool release(void* p) {
  const std::lock_guard<std::mutex> hold(lock);
  const auto it = allocations.find(static_cast<char*>(p));
  if (it == allocations.end()) return false;
  const size_t bytes = pages(it->second ? it->second : 1);
  inUse -= it->second;
  allocations.erase(it);
  madvise(p, bytes, MADV_DONTNEED);  // zeros, of the words too: no memory
  madvise(device().of(p), bytes / 4 * sizeof(Word), MADV_DONTNEED);
  return true;
}
size_t available() { return capacity() - inUse; }
size_t total() { return capacity(); }

static std::map<const char*, size_t>::iterator holder(const void* p) {
  const auto it = allocations.upper_bound(static_cast<const char*>(p));
  return it == allocations.begin() ? allocations.end() : std::prev(it);
}
bool owns(const void* p, size_t bytes) {
  const std::lock_guard<std::mutex> hold(lock);
  const auto it = holder(p);
  if (it == allocations.end()) return false;
  const size_t at = static_cast<size_t>(static_cast<const char*>(p) - it->first);
  return at <= it->second && bytes <= it->second - at;
}
const char* describe(const void* p, char* text, size_t room) {
  const std::lock_guard<std::mutex> hold(lock);
  const auto it = holder(p);
  const size_t at = it == allocations.end() ? 0 : static_cast<size_t>(static_cast<const char*>(p) - it->first);
  if (it == allocations.end() || at > it->second + GAP) snprintf(text, room, "where no buffer is");
  else snprintf(text, room, "at %zu of a buffer of %zu bytes", at, it->second);
  return text;
}
void hostWrote(void* p, size_t bytes) { mark(p, bytes, true); }
void forget(void* p, size_t bytes) {
  memset(p, 0xff, bytes);
  mark(p, bytes, false);
}

}  // namespace emu
