// A program on the card. Its first step is launched plainly, then the launches of a step are recorded as a graph, and
// from then on a step of a run is one launch of the graph. What differs from step to step the graph finds on the
// device: the number of the step in `fault`, from which its first node takes the slices of the feeds and its last one
// puts the results and counts on. So the host waits once for a chunk of steps, whose slices travel together.
#pragma once
#include <atomic>
#include "slices.h"
#include "store.h"

namespace bayes {
namespace cuda {

class Plan {
 public:
  Plan(Store* s, const BayesProgram& p);
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;
  ~Plan();

  void run(int count, const BayesFeed* feeds, void* const* results, BayesFault& fault);
  void runStep(int number, const BayesFeed* feeds, int step);
  void read(int step, int output, int64_t offset, void* data, int64_t bytes);
  void stop() { stopped.store(true, std::memory_order_relaxed); }
  int64_t workspaceBytes() const { return workspace; }
  int stepCount() const { return static_cast<int>(steps.size()); }
  Store* const store;

 private:
  const Card& card;
  std::vector<Held> held;  // the store's buffers that tensors point into
  std::atomic<bool> stopped{false};
  std::vector<Tensor> tensors;
  std::vector<Attr> attrs;
  std::vector<double> values;
  std::vector<std::string> names;
  std::vector<Step> steps;
  std::vector<const Entry*> entries;
  std::vector<int64_t> feedBytes, resultBytes;

  Held arena, scratch, word;  // word: the Fault
  Fault sent{}, found{};      // what the host writes to it and reads of it: copies may be under way behind a call
  Slices feedSlices, resultSlices;
  int64_t arenaBytes = 0, workspace = 0;
  int chunk = 1;  // most steps whose slices travel together
  bool warm = false;
  cudaGraphExec_t graph = nullptr;

  void add(const BayesStep& b);
  Tensor resolve(const BayesRef& r);
  Fault* fault() const { return reinterpret_cast<Fault*>(word->data); }
  void setFault(int now);
  void checkHeld() const;
  void launchStep(size_t i);
  void enqueue();  // one step of a run
  void uploadSlices(int feed, const char* from, int64_t stride, int n);
  void record();
  void describe(const Fault& f, BayesFault& to) const;
};

}  // namespace cuda
}  // namespace bayes
