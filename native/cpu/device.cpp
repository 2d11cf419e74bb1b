// The CPU device behind the C table: numbered buffers, and plans that run their steps in order.
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>
#include "device.h"
#include "isa.h"
#include "pool.h"

namespace bayes {
namespace {

struct StepFailure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

constexpr int64_t MOST_BYTES = int64_t{1} << 46;  // of one buffer: sums and products of sizes below do not overflow

[[noreturn]] void refuse(const std::string& why) { throw std::runtime_error("plan: " + why); }

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

// Zeroed and 64-byte aligned: the pages are there before the first step. (Huge pages were tried: no step got faster.)
void* allocate(int64_t wanted) {
  const auto refuse = [&] {
    throw std::runtime_error("out of memory: " + std::to_string(wanted >> 20) + " MiB were asked for");
  };
  if (wanted < 0 || wanted > MOST_BYTES || (wanted > (256 << 20) && wanted > availableBytes())) refuse();
  constexpr size_t align = 64;
  const size_t bytes = (static_cast<size_t>(wanted) + align - 1) / align * align + align;
  void* p = aligned_alloc(align, bytes);
  if (!p) refuse();
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
  std::vector<std::shared_ptr<Block>> buffers;  // null: free
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

int64_t bytesOf(const BayesRef& r) {
  if (r.dtype < BAYES_F32 || r.dtype > BAYES_U8) refuse("no dtype has the number " + std::to_string(r.dtype));
  if (r.rank < 0 || r.rank > BAYES_MAX_RANK) refuse("a tensor has more than 6 dimensions");
  int64_t n = r.dtype == BAYES_U8 ? 1 : 4;
  if (r.offset < 0 || r.offset > MOST_BYTES || r.offset % n) refuse("an offset is out of range or not aligned");
  for (int i = 0; i < r.rank; i++) {
    if (r.dims[i] < 1 || r.dims[i] > MOST_BYTES / n) refuse("a dimension is out of range");
    n *= r.dims[i];
  }
  return n;
}

struct Plan {
  Store* store;
  std::vector<std::shared_ptr<Block>> held;  // the store's buffers that tensors point into
  Block arena, scratch;
  int threads = 0;
  std::atomic<bool> stopped{false};
  std::vector<Tensor> tensors;
  std::vector<Attr> attrs;
  std::vector<double> values;
  std::vector<std::string> names;
  std::vector<Step> steps;
  std::vector<int64_t> feedBytes, resultBytes;

  Plan(Store* s, const BayesProgram& p) : store(s) {
    size_t nt = 0, na = 0, nv = 0;
    for (int i = 0; i < p.stepCount; i++) {
      const BayesStep& b = p.steps[i];
      nt += b.inputCount + b.outputCount, na += b.attrCount;
      for (int k = 0; k < b.attrCount; k++) nv += b.attrs[k].count;
    }
    // reserved whole, so that pointers into them stay
    tensors.reserve(nt), attrs.reserve(na), values.reserve(nv), names.reserve(na + p.stepCount);
    arena.resize(p.arenaBytes);
    feedBytes.assign(p.feedBytes, p.feedBytes + p.feedCount);
    resultBytes.assign(p.resultBytes, p.resultBytes + p.resultCount);
    for (const auto* sizes : {&feedBytes, &resultBytes})
      for (int64_t n : *sizes)
        if (n < 0 || n > MOST_BYTES)
          refuse("a feed or a result has an impossible size, " + std::to_string(n) + " bytes");
    Contract contract;
    for (int i = 0; i < p.stepCount; i++) try {
        add(p.steps[i], contract);
      } catch (const std::runtime_error& e) {
        throw std::runtime_error(e.what() + (" (step " + std::to_string(i) + ")"));
      }
    const PinnedThreads pin;
    sizeScratch();
  }

  void add(const BayesStep& b, Contract& contract) {
    Step s{};
    s.entry = findOp(b.op);
    const ContractOf rules = findContract(b.op);
    if (!s.entry || !rules)
      throw std::runtime_error("no kernel for op '" + std::string(b.op).substr(0, 60) + "' on this device");
    s.op = s.entry->name;
    s.nin = b.inputCount, s.nout = b.outputCount, s.nattr = b.attrCount, s.commits = b.commits;
    s.in = tensors.data() + tensors.size();
    for (int k = 0; k < b.inputCount; k++) tensors.push_back(resolve(b.inputs[k]));
    s.out = tensors.data() + tensors.size();
    for (int k = 0; k < b.outputCount; k++) tensors.push_back(resolve(b.outputs[k]));
    s.attrs = attrs.data() + attrs.size();
    for (int k = 0; k < b.attrCount; k++) {
      names.emplace_back(b.attrs[k].name);
      attrs.push_back({names.back().c_str(), b.attrs[k].count, values.data() + values.size()});
      values.insert(values.end(), b.attrs[k].values, b.attrs[k].values + b.attrs[k].count);
    }
    contract.check(s, rules);
    steps.push_back(s);
  }

  Tensor resolve(const BayesRef& r) {
    const int64_t bytes = bytesOf(r), end = r.offset + bytes;
    Tensor t{};
    t.dtype = r.dtype, t.rank = r.rank, t.space = r.space, t.index = r.index, t.offset = r.offset;
    for (int i = 0; i < r.rank; i++) t.dims[i] = r.dims[i];
    const auto within = [&](const std::vector<int64_t>& sizes) {
      return r.index >= 0 && r.index < static_cast<int64_t>(sizes.size()) && end <= sizes[r.index];
    };
    switch (r.space) {
      case BAYES_ARENA:
        if (end > arena.bytes) refuse("tensor outside the arena");
        t.data = arena.data + r.offset;
        break;  // its place comes with the arena
      case BAYES_STORE:
        held.push_back(store->at(r.index, r.offset, bytes));
        t.data = held.back()->data + r.offset;
        break;
      case BAYES_FEED:
        if (!within(feedBytes)) refuse("tensor outside its feed");
        break;
      case BAYES_RESULT:
        if (!within(resultBytes)) refuse("tensor outside its result");
        break;
      case BAYES_NONE:
        break;
      default:
        refuse("tensor in no known space");
    }
    return t;
  }

  void sizeScratch() {
    threads = poolThreads();
    size_t most = 0;
    for (const Step& s : steps) {
      size_t n = s.entry->scratch ? s.entry->scratch(s) : 0;
      if (n > most) most = n;
    }
    if (static_cast<int64_t>(most) > scratch.bytes) scratch.resize(static_cast<int64_t>(most));
    for (Step& s : steps) s.scratch = scratch.data;
  }

  void bind(int step, const BayesFeed* feeds, void* const* results) {
    for (Tensor& t : tensors) {
      if (t.space == BAYES_FEED)
        t.data =
            const_cast<char*>(static_cast<const char*>(feeds[t.index].data)) + feeds[t.index].stride * step + t.offset;
      else if (t.space == BAYES_RESULT)
        t.data = static_cast<char*>(results[t.index]) + resultBytes[t.index] * step + t.offset;
    }
  }

  static bool finite(const Step& s) {
    for (int k = 0; k < s.nout; k++) {
      const Tensor& t = s.out[k];
      if (t.space == BAYES_NONE || t.dtype != BAYES_F32) continue;
      const float* p = t.f32();
      for (long i = 0, n = t.size(); i < n; i++)
        if (!std::isfinite(p[i])) return false;
    }
    return true;
  }

  // Which op made the first NaN or infinity: the step again (nothing has been committed), looking after each op.
  int findCulprit(int guard) {
    for (int i = 0; i < guard; i++) {
      steps[i].entry->run(steps[i]);
      if (!finite(steps[i])) return i;
    }
    return guard;
  }

  void run(int count, const BayesFeed* feeds, void* const* results, BayesFault& fault) {
    for (const auto& block : held)
      if (block->freed) throw std::runtime_error("a buffer that the program uses has been freed");
    const PinnedThreads pin;
    if (threads != poolThreads()) sizeScratch();
    for (int n = 0; n < count; n++) {
      fault.runStep = n, fault.programStep = -1;
      if (stopped.load(std::memory_order_relaxed)) throw std::runtime_error("the run was stopped");
      bind(n, feeds, results);
      for (size_t i = 0; i < steps.size(); i++) {
        fault.programStep = static_cast<int>(i);
        try {
          steps[i].entry->run(steps[i]);
        } catch (const NonFinite&) {
          fault.programStep = findCulprit(static_cast<int>(i));
          throw;
        }
      }
    }
  }
};

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
  static const BayesBackend table = {
      [](void** store) { return guarded([&] { *store = new Store(); }); },
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
        return guarded(
            [&] { memcpy(static_cast<Store*>(store)->at(index, offset, bytes)->data + offset, data, bytes); });
      },
      [](void* store, const BayesProgram* program, void** plan, int64_t* workspace) {
        return guarded([&] {
          Plan* p = new Plan(static_cast<Store*>(store), *program);
          *plan = p, *workspace = p->scratch.bytes;
        });
      },
      [](void* plan, int32_t steps, const BayesFeed* feeds, void* const* results, BayesFault* fault) {
        fault->runStep = fault->programStep = -1;
        const char* error = guarded([&] { static_cast<Plan*>(plan)->run(steps, feeds, results, *fault); });
        if (error) snprintf(fault->message, sizeof fault->message, "%s", error);
        return error;
      },
      [](void* plan, int32_t step, char* text, int64_t capacity) -> const char* {
        const std::vector<Step>& steps = static_cast<Plan*>(plan)->steps;
        if (step < 0 || step >= static_cast<int32_t>(steps.size()) || capacity < 1) return "plan: no such step";
        const Step& s = steps[static_cast<size_t>(step)];
        *text = 0;
        if (s.entry->algorithm) s.entry->algorithm(s, text, static_cast<size_t>(capacity));
        return nullptr;
      },
      [](void* plan) { static_cast<Plan*>(plan)->stopped.store(true, std::memory_order_relaxed); },
      [](void* plan) { delete static_cast<Plan*>(plan); },
  };
  return table;
}

}  // namespace bayes
