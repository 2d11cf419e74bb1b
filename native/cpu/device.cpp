// The CPU device behind the C table: numbered buffers, and plans that run their steps in order.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>
#if defined(__linux__)
#include <sys/mman.h>
#endif
#include "../program/steps.h"
#include "device.h"
#include "isa.h"
#include "pool.h"

namespace bayes {
namespace {

struct StepFailure : std::runtime_error {
  using std::runtime_error::runtime_error;
};
// Of the guard op, before the first commit of a step.
struct NonFinite : std::runtime_error {
  NonFinite() : std::runtime_error("a value that is not finite (NaN or infinity)") {}
};

#if defined(__linux__)
// The number in the first line of a file that has this form; -1: none.
int64_t numberIn(const char* path, const char* form) {
  long long n = -1;
  if (FILE* f = fopen(path, "r")) {
    char line[128];
    while (n < 0 && fgets(line, sizeof line, f))
      if (sscanf(line, form, &n) != 1) n = -1;
    fclose(f);
  }
  return n;
}
#endif

// What the system could still give, in bytes. Linux promises more memory than it has and kills the process that uses
// it, so a large block is compared with this first.
int64_t availableBytes() {
  int64_t available = MOST_BYTES;
#if defined(__linux__)
  const int64_t kib = numberIn("/proc/meminfo", "MemAvailable: %lld");
  if (kib >= 0) available = kib * 1024;
  const int64_t most = numberIn("/sys/fs/cgroup/memory.max", "%lld");  // of a container; "max": none
  const int64_t used = numberIn("/sys/fs/cgroup/memory.current", "%lld");
  const char* stat = "/sys/fs/cgroup/memory.stat";  // cached files count as used, but give way
  const int64_t files = numberIn(stat, "inactive_file %lld") + numberIn(stat, "active_file %lld");
  if (most >= 0 && used >= 0 && files >= 0 && most - used + files < available) available = most - used + files;
#endif
  return available;
}

// Zeroed and 64-byte aligned: the pages are there before the first step. Large blocks ask for huge ones, which takes no
// step less time, but the system a few times less to make them.
void* allocate(int64_t wanted) {
  const auto refuse = [&] {
    throw std::runtime_error("out of memory: " + std::to_string(wanted >> 20) + " MiB were asked for");
  };
  if (wanted < 0 || wanted > MOST_BYTES || (wanted > (256 << 20) && wanted > availableBytes())) refuse();
  constexpr size_t line = 64, huge = 2 << 20;
  const size_t align = wanted < 4 * static_cast<int64_t>(huge) ? line : huge;
  const size_t bytes = (static_cast<size_t>(wanted) + line + align - 1) / align * align;
  void* p = aligned_alloc(align, bytes);
  if (!p) refuse();
#if defined(__linux__)
  if (align == huge) madvise(p, bytes, MADV_HUGEPAGE);
#endif
  memset(p, 0, bytes);
  return p;
}

struct Block {
  char* data = nullptr;
  int64_t bytes = 0;
  bool freed = false;  // by the store, while a plan still points into it
  Block() = default;
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  ~Block() { free(data); }
  void resize(int64_t n) {
    char* fresh = static_cast<char*>(allocate(n ? n : 1));
    free(data);
    data = fresh, bytes = n;
  }
};

struct Store {
  std::vector<std::shared_ptr<Block>> buffers;                             // null: free
  const std::shared_ptr<uint64_t> writes = std::make_shared<uint64_t>(1);  // how often contents may have changed
  const std::shared_ptr<Block>& at(int32_t index, int64_t offset, int64_t bytes) {
    if (index < 0 || index >= static_cast<int32_t>(buffers.size()) || !buffers[index])
      throw std::runtime_error("store: no buffer " + std::to_string(index));
    if (offset < 0 || bytes < 0 || bytes > buffers[index]->bytes || offset > buffers[index]->bytes - bytes)
      throw std::runtime_error("store: access past the end of buffer " + std::to_string(index));
    return buffers[index];
  }
  int32_t alloc(int64_t bytes) {
    auto block = std::make_shared<Block>();
    block->resize(bytes);
    size_t i = 0;
    while (i < buffers.size() && buffers[i]) i++;
    if (i == buffers.size()) buffers.emplace_back();
    buffers[i] = std::move(block);
    return static_cast<int32_t>(i);
  }
  void free(int32_t index) {
    at(index, 0, 0)->freed = true;
    buffers[index].reset();
  }
};

// Whether one thread has a step done in a few microseconds, judged by its shapes.
bool isSmall(const OpEntry& entry, const Step& s) {
  constexpr int64_t LEAST_BYTES = 64 << 10, FLOPS_PER_BYTE = 16;
  if (entry.scratch && !entry.weights) return false;  // gradients, and others that do more than their operands show
  int64_t work = 0;                                   // bytes of operands, and as many as products take the time of
  for (int i = 0; i < s.nin; i++) work += bytesOf(s.in[i]);
  for (int i = 0; i < s.nout; i++)
    if (s.out[i]) work += bytesOf(s.out[i]);
  const auto places = [](const Tensor& t) { return t.size() / (t.dim(-1) ? t.dim(-1) : 1); };
  if (entry.weights) {  // a weight counts once for each place of the image or of the map
    const int64_t most = std::max(places(s.in[0]), places(s.out[0]));
    work += 2 * most * entry.weightInputs * s.in[1].size() / FLOPS_PER_BYTE;
  }
  return work < LEAST_BYTES;
}

// The program has been checked (program/steps.h): what is left to look at is the store, and whether there is a kernel.
struct Plan {
  std::vector<std::shared_ptr<Block>> held;  // the store's buffers that tensors point into
  Block arena, scratch, weights;
  const std::shared_ptr<uint64_t> writes;  // the store's
  bool writing = false;                    // a step writes to the store
  uint64_t frozenAt = 0;                   // `writes` when the frozen steps ran; 0: they have to run
  int threads = 0;
  std::atomic<bool> stopped{false};
  Steps steps;
  std::vector<const OpEntry*> entries;  // of the steps
  std::vector<bool> small;              // of the steps: run on one thread
  std::vector<int64_t> resultBytes;

  Plan(Store& store, const BayesProgram& p)
      : writes(store.writes), steps(p), resultBytes(p.resultBytes, p.resultBytes + p.resultCount) {
    arena.resize(p.arenaBytes);
    for (Tensor& t : steps.tensors) {
      if (t.space == BAYES_ARENA) t.data = arena.data + t.offset;
      if (t.space != BAYES_STORE) continue;
      held.push_back(store.at(t.index, t.offset, bytesOf(t)));
      t.data = held.back()->data + t.offset;
    }
    for (const Step& s : steps.all) {
      entries.push_back(findOp(s.op));
      if (!entries.back()) throw std::runtime_error("no kernel for op '" + std::string(s.op) + "' on this device");
      small.push_back(isSmall(*entries.back(), s));
      writing |= writesStore(s);
    }
    const PinnedThreads pin;
    placeWeights();
    sizeScratch();
  }

  // Memory for the packed weights of layers that find the same weights in every run, where the op wants it.
  void placeWeights() {
    std::vector<int64_t> bytes;
    int64_t all = 0;
    for (size_t i = 0; i < entries.size(); i++) {
      const Step& s = steps.all[i];
      bool stay = entries[i]->weights;
      for (int k = 1; stay && k <= entries[i]->weightInputs; k++) stay = steps.lasting(s.in[k]);
      bytes.push_back(stay ? static_cast<int64_t>(entries[i]->weights(s)) : 0);
      all += bytes.back();
    }
    weights.resize(all);
    char* at = weights.data;
    for (size_t i = 0; i < entries.size(); at += bytes[i++])
      if (bytes[i]) steps.all[i].weights = at;
  }

  void sizeScratch() {
    threads = poolThreads();
    size_t most = 0;
    for (size_t i = 0; i < entries.size(); i++) {
      const size_t n = entries[i]->scratch ? entries[i]->scratch(steps.all[i]) : 0;
      if (n > most) most = n;
    }
    if (static_cast<int64_t>(most) > scratch.bytes) scratch.resize(static_cast<int64_t>(most));
    for (Step& s : steps.all) s.scratch = scratch.data;
  }

  // Before steps run on this thread, whose number of threads is pinned.
  void prepare() {
    if (writing) ++*writes;
    for (const auto& block : held)
      if (block->freed) throw std::runtime_error("a buffer that the program uses has been freed");
    if (threads != poolThreads()) sizeScratch();
  }

  void bind(int runStep, const BayesFeed* feeds, void* const* results) {
    if (stopped.load(std::memory_order_relaxed)) throw std::runtime_error("the run was stopped");
    for (Tensor& t : steps.tensors) {
      if (t.space == BAYES_FEED)
        t.data = const_cast<char*>(static_cast<const char*>(feeds[t.index].data)) + feeds[t.index].stride * runStep +
                 t.offset;
      else if (t.space == BAYES_RESULT)
        t.data = static_cast<char*>(results[t.index]) + resultBytes[t.index] * runStep + t.offset;
    }
  }

  // What depends on the store alone has to be made again.
  void thaw() {
    frozenAt = 0;
    for (Step& s : steps.all) s.packed = false;
  }

  void run(int count, const BayesFeed* feeds, void* const* results, BayesFault& fault) {
    const PinnedThreads pin;
    prepare();
    if (frozenAt != *writes) thaw();
    for (int n = 0; n < count; n++) {
      fault.runStep = n, fault.programStep = -1;
      bind(n, feeds, results);
      for (size_t i = frozenAt ? static_cast<size_t>(steps.frozen) : 0; i < entries.size(); i++) {
        if (i == static_cast<size_t>(steps.frozen)) frozenAt = *writes;
        fault.programStep = static_cast<int>(i);
        const Alone alone(small[i]);
        try {
          entries[i]->run(steps.all[i]);
        } catch (const NonFinite&) {
          fault.nonFinite = 1;
          throw;
        }
        steps.all[i].packed = steps.all[i].weights != nullptr;
      }
    }
  }

  const Step& at(int step) const {
    if (step < 0 || step >= static_cast<int>(steps.all.size())) throw std::runtime_error("plan: no such step");
    return steps.all[static_cast<size_t>(step)];
  }

  void runStep(int runStep, const BayesFeed* feeds, void* const* results, int step) {
    at(step);
    const PinnedThreads pin;
    prepare();
    bind(runStep, feeds, results);
    if (frozenAt != *writes || step < steps.frozen) thaw();
    entries[static_cast<size_t>(step)]->run(steps.all[static_cast<size_t>(step)]);
  }

  void read(int step, int output, int64_t offset, void* data, int64_t bytes) const {
    const Step& s = at(step);
    if (output < 0 || output >= s.nout || !s.out[output].data) throw std::runtime_error("plan: no such output");
    const int64_t most = bytesOf(s.out[output]);
    if (offset < 0 || bytes < 0 || offset > most || bytes > most - offset)
      throw std::runtime_error("plan: access past the end of an output");
    memcpy(data, static_cast<const char*>(s.out[output].data) + offset, static_cast<size_t>(bytes));
  }

  void algorithm(int step, char* text, int64_t capacity) const {
    const Step& s = at(step);
    if (capacity < 1) throw std::runtime_error("plan: no room for words");
    *text = 0;
    const OpEntry& entry = *entries[static_cast<size_t>(step)];
    if (entry.algorithm) entry.algorithm(s, text, static_cast<size_t>(capacity));
  }
};

const char* probe(int32_t device, char* name, int64_t capacity) {
  if (device != 0) return "there is one CPU device, number 0";
  snprintf(name, static_cast<size_t>(capacity), "cpu-%s", isaName());
  return nullptr;
}

thread_local std::string lastError;

template <class F>
const char* guarded(F f) {
  try {
    f();
    return nullptr;
  } catch (const std::exception& e) {
    lastError = e.what();
    return lastError.c_str();
  }
}

}  // namespace

[[noreturn]] void failStep(const Step& s, const char* why) { throw StepFailure(std::string(s.op) + ": " + why); }
[[noreturn]] void failNonFinite() { throw NonFinite(); }

const BayesBackend& cpuBackend() {
  static const BayesTraits traits = {BAYES_JOINS_ACTIVATION | BAYES_JOINS_POOLING, BAYES_FP32 | BAYES_BF16, 64, 512};
  static const BayesBackend table = {
      BAYES_ABI,
      [] { return 1; },
      probe,
      [](int32_t) { return &traits; },
      [](int32_t, void** store) { return guarded([&] { *store = new Store(); }); },
      [](void* store) { delete static_cast<Store*>(store); },
      [](void* store, int64_t bytes, int32_t* index) {
        return guarded([&] { *index = static_cast<Store*>(store)->alloc(bytes); });
      },
      [](void* store, int32_t index) { return guarded([&] { static_cast<Store*>(store)->free(index); }); },
      [](void* store, int32_t index, int64_t offset, void* data, int64_t bytes) {
        return guarded(
            [&] { memcpy(data, static_cast<Store*>(store)->at(index, offset, bytes)->data + offset, bytes); });
      },
      [](void* store, int32_t index, int64_t offset, const void* data, int64_t bytes) {
        return guarded([&] {
          Store& s = *static_cast<Store*>(store);
          memcpy(s.at(index, offset, bytes)->data + offset, data, bytes);
          ++*s.writes;
        });
      },
      [](void* store, const BayesProgram* program, void** plan, int64_t* workspace) {
        return guarded([&] {
          Plan* p = new Plan(*static_cast<Store*>(store), *program);
          *plan = p, *workspace = p->scratch.bytes + p->weights.bytes;
        });
      },
      [](void* plan, int32_t steps, const BayesFeed* feeds, void* const* results, BayesFault* fault) {
        fault->runStep = fault->programStep = -1, fault->nonFinite = 0;
        const char* error = guarded([&] { static_cast<Plan*>(plan)->run(steps, feeds, results, *fault); });
        if (error) snprintf(fault->message, sizeof fault->message, "%s", error);
        return error;
      },
      [](void* plan, int32_t runStep, const BayesFeed* feeds, void* const* results, int32_t step) {
        return guarded([&] { static_cast<Plan*>(plan)->runStep(runStep, feeds, results, step); });
      },
      [](void* plan, int32_t step, int32_t output, int64_t offset, void* data, int64_t bytes) {
        return guarded([&] { static_cast<Plan*>(plan)->read(step, output, offset, data, bytes); });
      },
      [](void* plan, int32_t step, char* text, int64_t capacity) {
        return guarded([&] { static_cast<Plan*>(plan)->algorithm(step, text, capacity); });
      },
      [](void* plan) { static_cast<Plan*>(plan)->stopped.store(true, std::memory_order_relaxed); },
      [](void* plan) { delete static_cast<Plan*>(plan); },
  };
  return table;
}

}  // namespace bayes
