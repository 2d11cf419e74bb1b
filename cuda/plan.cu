#include "plan.h"
#include <stdio.h>
#include <algorithm>

namespace bayes {
namespace cuda {
namespace {

constexpr int64_t MOST_BYTES = int64_t{1} << 46;  // of one buffer: sums and products of sizes below do not overflow
constexpr int64_t STAGING = int64_t{16} << 20;    // bytes of slices that travel together, at most
constexpr int MOST_CHUNK = 64;                    // steps, so that planStop() does not wait for long

[[noreturn]] void refuse(const std::string& why) { throw std::runtime_error("plan: " + why); }

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
int64_t bytesOf(const Tensor& t) { return t.size() * (t.dtype == BAYES_U8 ? 1 : 4); }

// Whether a word is one of the words of a list.
bool listed(const char* list, const char* word) {
  const size_t n = strlen(word);
  for (const char* p = strstr(list, word); p; p = strstr(p + n, word))
    if ((p == list || p[-1] == ' ') && (p[n] == 0 || p[n] == ' ')) return true;
  return false;
}

}  // namespace

Entry*& Entry::first() {
  static Entry* list = nullptr;
  return list;
}
const Entry* Entry::find(const char* name) {
  for (const Entry* e = first(); e; e = e->next)
    if (!strcmp(e->name, name)) return e;
  return nullptr;
}

Plan::Plan(Store* s, const BayesProgram& p) : store(s), card(cardOf(s->device)) {
  use(store->device);
  size_t nt = 0, na = 0, nv = 0;
  for (int i = 0; i < p.stepCount; i++) {
    const BayesStep& b = p.steps[i];
    nt += static_cast<size_t>(b.inputCount + b.outputCount), na += static_cast<size_t>(b.attrCount);
    for (int k = 0; k < b.attrCount; k++) nv += static_cast<size_t>(b.attrs[k].count);
  }
  // reserved whole, so that pointers into them stay
  tensors.reserve(nt), attrs.reserve(na), values.reserve(nv), names.reserve(na);
  feedBytes.assign(p.feedBytes, p.feedBytes + p.feedCount);
  resultBytes.assign(p.resultBytes, p.resultBytes + p.resultCount);
  int64_t each = 0;
  for (const auto* sizes : {&feedBytes, &resultBytes})
    for (int64_t n : *sizes) {
      if (n < 0 || n > MOST_BYTES) refuse("a feed or a result has an impossible size, " + std::to_string(n) + " bytes");
      each += n;
    }
  feedSlices.layOut(feedBytes), resultSlices.layOut(resultBytes);
  each = feedSlices.total + resultSlices.total;
  chunk = each == 0 ? MOST_CHUNK : static_cast<int>(std::clamp<int64_t>(STAGING / each, 1, MOST_CHUNK));

  arenaBytes = p.arenaBytes;
  if (arenaBytes < 0 || arenaBytes > MOST_BYTES) refuse("the arena has an impossible size");
  arena = store->zeroed(arenaBytes), word = store->zeroed(sizeof(Fault));
  feedSlices.make(*store, chunk), resultSlices.make(*store, chunk);
  for (int i = 0; i < p.stepCount; i++) try {
      add(p.steps[i]);
    } catch (const std::runtime_error& e) {
      throw std::runtime_error(e.what() + (" (step " + std::to_string(i) + ")"));
    }
  size_t most = 0;
  for (size_t i = 0; i < steps.size(); i++)
    if (entries[i]->scratch) most = std::max(most, entries[i]->scratch(steps[i], card));
  scratch = store->zeroed(static_cast<int64_t>(most));
  for (Step& step : steps) step.scratch = scratch->data;
  workspace = static_cast<int64_t>(most) + feedSlices.workspace() + resultSlices.workspace();
  store->wait();
}
Plan::~Plan() {
  cudaSetDevice(store->device);
  cudaStreamSynchronize(store->stream);
  if (graph) cudaGraphExecDestroy(graph);
  cudaGetLastError();
}

void Plan::add(const BayesStep& b) {
  const Entry* entry = Entry::find(b.op);
  if (!entry) throw std::runtime_error("no kernel for op '" + std::string(b.op).substr(0, 60) + "' on this device");
  Step s{};
  s.op = entry->name;
  s.nin = b.inputCount, s.nout = b.outputCount, s.nattr = b.attrCount, s.commits = b.commits;
  s.number = static_cast<int>(steps.size());
  s.in = tensors.data() + tensors.size();
  for (int k = 0; k < b.inputCount; k++) tensors.push_back(resolve(b.inputs[k]));
  s.out = tensors.data() + tensors.size();
  for (int k = 0; k < b.outputCount; k++) tensors.push_back(resolve(b.outputs[k]));
  s.attrs = attrs.data() + attrs.size();
  for (int k = 0; k < b.attrCount; k++) {
    names.emplace_back(b.attrs[k].name);
    if (!listed(entry->attributes, b.attrs[k].name))
      throw std::runtime_error(std::string("[") + s.op + "] expected attributes that the kernel knows, received '" +
                               names.back().substr(0, 60) + "'");
    attrs.push_back({names.back().c_str(), b.attrs[k].count, values.data() + values.size()});
    values.insert(values.end(), b.attrs[k].values, b.attrs[k].values + b.attrs[k].count);
  }
  steps.push_back(s), entries.push_back(entry);
}

Tensor Plan::resolve(const BayesRef& r) {
  const int64_t bytes = bytesOf(r), end = r.offset + bytes;
  if (r.space != BAYES_NONE && r.offset % 16)  // a kernel that loads 16 bytes there would end the whole process's card
    refuse("expected tensors at multiples of 16 bytes, received one at " + std::to_string(r.offset));
  Tensor t{};
  t.dtype = r.dtype, t.rank = r.rank, t.space = r.space, t.index = r.index, t.offset = r.offset;
  for (int i = 0; i < r.rank; i++) t.dims[i] = r.dims[i];
  const auto within = [&](const std::vector<int64_t>& sizes) {
    return r.index >= 0 && r.index < static_cast<int64_t>(sizes.size()) && end <= sizes[static_cast<size_t>(r.index)];
  };
  switch (r.space) {
    case BAYES_ARENA:
      if (end > arenaBytes) refuse("tensor outside the arena");
      t.data = arena->data + r.offset;
      break;
    case BAYES_STORE:
      held.push_back(store->at(r.index, r.offset, bytes));
      t.data = held.back()->data + r.offset;
      break;
    case BAYES_FEED:
      if (!within(feedBytes)) refuse("tensor outside its feed");
      t.data = feedSlices.slot(r.index) + r.offset;
      break;
    case BAYES_RESULT:
      if (!within(resultBytes)) refuse("tensor outside its result");
      t.data = resultSlices.slot(r.index) + r.offset;
      break;
    case BAYES_NONE:
      break;
    default:
      refuse("tensor in no known space");
  }
  return t;
}

void Plan::checkHeld() const {
  for (const Held& block : held)
    if (block->freed) throw std::runtime_error("a buffer that the program uses has been freed");
}
void Plan::setFault(int now) {
  sent = {NO_FAULT, -1, -1, {0, 0}, now};
  store->upload(word->data, &sent, sizeof sent);
}

void Plan::launchStep(size_t i) {
  const Step& s = steps[i];
  // what lies where an output comes to lie is gone, unless the kernel reads it
  for (int k = 0; k < s.nout; k++) {
    const Tensor& t = s.out[k];
    if (t.space != BAYES_ARENA && t.space != BAYES_RESULT) continue;
    const char *from = static_cast<char*>(t.data), *to = from + bytesOf(t);
    bool overwrites = false;
    for (int j = 0; j < s.nin; j++) {
      const char* in = static_cast<char*>(s.in[j].data);
      overwrites |= s.in[j] && in < to && from < in + bytesOf(s.in[j]);
    }
    if (!overwrites) forget(store->stream, t.data, static_cast<size_t>(bytesOf(t)));
  }
  if (scratch->bytes) forget(store->stream, scratch->data, static_cast<size_t>(scratch->bytes));
  try {
    entries[i]->run(s, {store->stream, card, fault()});
  } catch (const std::runtime_error& e) { throw std::runtime_error(std::string(s.op) + ": " + e.what()); }
}
void Plan::enqueue() {
  feedSlices.load(store->stream, card, fault());
  for (size_t i = 0; i < steps.size(); i++) launchStep(i);
  resultSlices.save(store->stream, card, fault());
}
void Plan::record() {
  succeed(cudaStreamBeginCapture(store->stream, cudaStreamCaptureModeThreadLocal), "recording a step");
  cudaGraph_t recorded = nullptr;
  try {
    enqueue();
  } catch (...) {
    cudaStreamEndCapture(store->stream, &recorded);
    if (recorded) cudaGraphDestroy(recorded);
    throw;
  }
  succeed(cudaStreamEndCapture(store->stream, &recorded), "recording a step");
  const cudaError_t e = cudaGraphInstantiate(&graph, recorded, 0);
  cudaGraphDestroy(recorded);
  succeed(e, "recording a step");
}

// n slices into staging memory. A copy of many takes slices that do not overlap, less than 2 GiB apart.
void Plan::uploadSlices(int feed, const char* from, int64_t stride, int n) {
  const int64_t bytes = feedBytes[static_cast<size_t>(feed)], pitch = roundUp(bytes, 16);
  char* const to = feedSlices.staged(feed, chunk);
  const auto width = [](int64_t size) { return static_cast<size_t>(size); };
  if (stride < bytes || stride > INT32_MAX)
    for (int k = 0; k < n; k++) store->upload(to + pitch * k, from + stride * k, bytes);
  else
    succeed(cudaMemcpy2DAsync(to, width(pitch), from, width(stride), width(bytes), width(n), cudaMemcpyHostToDevice,
                              store->stream),
            "upload");
}

void Plan::run(int count, const BayesFeed* feeds, void* const* results, BayesFault& fault) {
  use(store->device);
  checkHeld();
  const size_t nf = feedBytes.size(), nr = resultBytes.size();
  const auto width = [](int64_t n) { return static_cast<size_t>(n); };
  setFault(0);
  for (int first = 0; first < count; first += chunk) {
    const int n = std::min(chunk, count - first);
    std::vector<bool> alone(nf), lone(nr, n == 1);  // in their slots, not in staging memory
    for (size_t i = 0; i < nf; i++) {
      const BayesFeed& f = feeds[i];
      const char* const from = static_cast<const char*>(f.data) + f.stride * first;
      alone[i] = n == 1 || f.stride == 0;
      if (!feedBytes[i] || (f.stride == 0 && first > 0)) continue;
      if (alone[i]) store->upload(feedSlices.slot(static_cast<int>(i)), from, feedBytes[i]);
      else uploadSlices(static_cast<int>(i), from, f.stride, n);
    }
    feedSlices.upload(*store, first, alone, chunk), resultSlices.upload(*store, first, lone, chunk);

    int launched = 0;
    for (; launched < n && !stopped.load(std::memory_order_relaxed); launched++) {
      if (warm && !graph) record();
      if (graph) succeed(cudaGraphLaunch(graph, store->stream), "a step on the GPU");
      else enqueue();
      warm = true;
    }

    store->download(&found, word->data, sizeof found);
    for (size_t i = 0; i < nr && launched; i++) {
      char* const to = static_cast<char*>(results[i]) + resultBytes[i] * first;
      if (!resultBytes[i]) continue;
      if (lone[i]) store->download(to, resultSlices.slot(static_cast<int>(i)), resultBytes[i]);
      else
        succeed(cudaMemcpy2DAsync(to, width(resultBytes[i]), resultSlices.staged(static_cast<int>(i), chunk),
                                  width(roundUp(resultBytes[i], 16)), width(resultBytes[i]), width(launched),
                                  cudaMemcpyDeviceToHost, store->stream),
                "download");
    }
    store->wait();
    if (found.code != NO_FAULT) describe(found, fault);
    fault.runStep = first + launched, fault.programStep = -1;
    if (launched < n) throw std::runtime_error("the run was stopped");
  }
}

// The sentences of the CPU's kernels.
void Plan::describe(const Fault& f, BayesFault& to) const {
  to.runStep = f.runStep, to.programStep = f.programStep;
  const std::string op = std::string(steps.at(static_cast<size_t>(f.programStep)).op) + ": ";
  switch (f.code) {
    case NOT_FINITE:
      to.nonFinite = 1;
      throw std::runtime_error("a value that is not finite (NaN or infinity)");
    case INDEX_OUTSIDE:
      throw std::runtime_error(op + "example " + std::to_string(f.value[0]) + " is outside the data set of " +
                               std::to_string(f.value[1]) + " examples");
    case LABEL_OUTSIDE:
      throw std::runtime_error(op + "a label is outside [0, classes)");
    case RATE_NOT_FINITE:
      throw std::runtime_error(op + "the learning rate is not finite");
    case STEP_NOT_FROM_1:
      throw std::runtime_error(op + "the number of the step is not from 1 on");
    default:
      throw std::runtime_error(op + "a fault without a name, " + std::to_string(f.code));
  }
}

void Plan::runStep(int number, const BayesFeed* feeds, int step) {
  use(store->device);
  checkHeld();
  if (step < 0 || step >= stepCount()) refuse("no such step");
  if (stopped.load(std::memory_order_relaxed)) throw std::runtime_error("the run was stopped");
  for (size_t i = 0; i < feedBytes.size(); i++)
    if (feedBytes[i])
      store->upload(feedSlices.slot(static_cast<int>(i)),
                    static_cast<const char*>(feeds[i].data) + feeds[i].stride * number, feedBytes[i]);
  setFault(number);
  launchStep(static_cast<size_t>(step));
  store->wait();
}
void Plan::read(int step, int output, int64_t offset, void* data, int64_t bytes) {
  use(store->device);
  if (step < 0 || step >= stepCount()) refuse("no such step");
  const Step& s = steps[static_cast<size_t>(step)];
  if (output < 0 || output >= s.nout || !s.out[output]) refuse("no such output");
  const int64_t size = bytesOf(s.out[output]);
  if (offset < 0 || bytes < 0 || bytes > size || offset > size - bytes) refuse("access past the end of an output");
  store->download(data, static_cast<char*>(s.out[output].data) + offset, bytes);
  store->wait();
}

}  // namespace cuda
}  // namespace bayes
