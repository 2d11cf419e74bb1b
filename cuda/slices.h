// What a run is given and gives back, a slice a step. A program's tensors point to one slot for each feed and result.
// The slices of a chunk of steps lie in staging memory; a kernel moves those of the step that is under way.
#pragma once
#include "store.h"

namespace bayes {
namespace cuda {

struct Slice {
  char *slot, *staged;  // staged: of step 0 of the run, if all were there
  int64_t words;        // of 16 bytes; 0: nothing to move
  int64_t stride;       // of staged slices, in bytes
};

struct Slices {
  std::vector<int64_t> bytes;   // of each
  std::vector<int64_t> places;  // of each slot
  int64_t total = 0;            // of one step
  Held slots, staging, table;

  void layOut(const std::vector<int64_t>& sizes);
  void make(Store& store, int chunk);
  char* slot(int i) const { return slots->data + places[static_cast<size_t>(i)]; }
  char* staged(int i, int chunk) const { return staging->data + places[static_cast<size_t>(i)] * chunk; }
  int64_t workspace() const { return slots->bytes + staging->bytes; }

  // The table for `count` steps from `first` on. direct: the slots hold all that the steps need.
  void upload(Store& store, int first, const std::vector<bool>& direct, int chunk);
  void load(Stream stream, const Card& card, const Fault* fault) const;
  void save(Stream stream, const Card& card, Fault* fault) const;  // and counts the step

 private:
  int64_t most = 0;  // words of the largest
  std::vector<Slice> host;
  const Slice* onDevice() const { return reinterpret_cast<const Slice*>(table->data); }
};

}  // namespace cuda
}  // namespace bayes
