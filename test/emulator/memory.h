// The emulated GPU's memory, and what is known of every word of it: who touched it last and whether it holds anything.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace emu {

// Of 4 bytes. Times are counts: of barriers of the block, of barriers of the warp. Zeros: no memory.
struct Word {
  uint64_t writer, reader;  // block of the process << 16 | warp << 8 | lane; reader may be many
  uint32_t writeBarriers, readBarriers;
  uint16_t writeSyncs, readSyncs;
  uint8_t written;                // of the four bytes, as bits
  uint8_t writeBytes, readBytes;  // that the last writer and reader touched, as bits
  uint8_t state;                  // ALLOCATED, FLYING
};
enum { ALLOCATED = 1, FLYING = 2 };
enum { MANY = 0x20, MANY_BLOCKS = 0x40 };  // of lanes, of warps; of warps

struct Device {  // one piece of address space that is filled from front to back and never used twice
  char* base;
  size_t bytes;
  Word* words;
  Word* of(const void* p) const { return words + (static_cast<const char*>(p) - base) / 4; }
  bool has(const void* p) const { return static_cast<size_t>(static_cast<const char*>(p) - base) < bytes; }
};
const Device& device();
// "at 12 of a buffer of 8 bytes"
const char* describe(const void* p, char* text, size_t capacity);

}  // namespace emu
