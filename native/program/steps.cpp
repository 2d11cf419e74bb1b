#include "steps.h"
#include <algorithm>
#include <stdexcept>
#include "contract.h"

namespace bayes {
namespace {

const char* const PRECISIONS[] = {"fp32", "tf32", "bf16"};

[[noreturn]] void refuse(const std::string& why) { throw std::runtime_error("plan: " + why); }

void checkSizes(const int64_t* sizes, int32_t count) {
  for (int i = 0; i < count; i++)
    if (sizes[i] < 0 || sizes[i] > MOST_BYTES)
      refuse("a feed or a result has an impossible size, " + std::to_string(sizes[i]) + " bytes");
}

void checkPlace(const Tensor& t, const BayesProgram& p) {
  if (t.dtype < BAYES_F32 || t.dtype > BAYES_U8) refuse("no dtype has the number " + std::to_string(t.dtype));
  if (t.rank < 0 || t.rank > BAYES_MAX_RANK) refuse("a tensor has more than 6 dimensions");
  int64_t bytes = t.dtype == BAYES_U8 ? 1 : 4;
  if (t.offset < 0 || t.offset > MOST_BYTES || t.offset % bytes) refuse("an offset is out of range or not aligned");
  for (int i = 0; i < t.rank; i++) {
    if (t.dims[i] < 1 || t.dims[i] > MOST_BYTES / bytes) refuse("a dimension is out of range");
    bytes *= t.dims[i];
  }
  const int64_t end = t.offset + bytes;
  const auto within = [&](const int64_t* sizes, int32_t count) {
    return t.index >= 0 && t.index < count && end <= sizes[t.index];
  };
  switch (t.space) {
    case BAYES_ARENA:
      if (end > p.arenaBytes) refuse("tensor outside the arena");
      break;
    case BAYES_FEED:
      if (!within(p.feedBytes, p.feedCount)) refuse("tensor outside its feed");
      break;
    case BAYES_RESULT:
      if (!within(p.resultBytes, p.resultCount)) refuse("tensor outside its result");
      break;
    case BAYES_STORE:
    case BAYES_NONE:
      break;
    default:
      refuse("tensor in no known space");
  }
}

Tensor tensorOf(const BayesRef& r) {
  Tensor t{};
  t.dtype = r.dtype, t.rank = r.rank, t.space = r.space, t.index = r.index, t.offset = r.offset;
  for (int i = 0; i < r.rank && i < BAYES_MAX_RANK; i++) t.dims[i] = r.dims[i];
  return t;
}

}  // namespace

int64_t bytesOf(const Tensor& t) { return t.size() * (t.dtype == BAYES_U8 ? 1 : 4); }

static bool overlap(const Tensor& a, const Tensor& b) {  // in the arena
  return a.space == BAYES_ARENA && b.space == BAYES_ARENA && a.offset < b.offset + bytesOf(b) &&
         b.offset < a.offset + bytesOf(a);
}
bool writesStore(const Step& s) {
  bool writes = s.commits;
  for (int i = 0; i < s.nout; i++) writes |= s.out[i].space == BAYES_STORE;
  return writes;
}

Steps::Steps(const BayesProgram& p) : frozen(p.frozenSteps) {
  size_t tensorCount = 0, attrCount = 0, valueCount = 0;
  for (int i = 0; i < p.stepCount; i++) {
    const BayesStep& b = p.steps[i];
    tensorCount += b.inputCount + b.outputCount, attrCount += b.attrCount;
    for (int k = 0; k < b.attrCount; k++) valueCount += b.attrs[k].count;
  }
  // reserved whole, so that pointers into them stay
  tensors.reserve(tensorCount), attrs.reserve(attrCount), values.reserve(valueCount);
  names.reserve(attrCount + p.stepCount), all.reserve(p.stepCount);
  const auto name = [&](const char* n) { return names.emplace_back(n).c_str(); };
  for (int i = 0; i < p.stepCount; i++) {
    const BayesStep& b = p.steps[i];
    Step s{};
    s.op = name(b.op);
    s.nin = b.inputCount, s.nout = b.outputCount, s.nattr = b.attrCount, s.commits = b.commits;
    s.in = tensors.data() + tensors.size();
    for (int k = 0; k < b.inputCount; k++) tensors.push_back(tensorOf(b.inputs[k]));
    s.out = tensors.data() + tensors.size();
    for (int k = 0; k < b.outputCount; k++) tensors.push_back(tensorOf(b.outputs[k]));
    s.attrs = attrs.data() + attrs.size();
    for (int k = 0; k < b.attrCount; k++) {
      attrs.push_back({name(b.attrs[k].name), b.attrs[k].count, values.data() + values.size()});
      values.insert(values.end(), b.attrs[k].values, b.attrs[k].values + b.attrs[k].count);
    }
    all.push_back(s);
  }
}

// Frozen steps read nothing of a run's and write nothing but the arena, nothing writes to the store, and what a later
// step reads of them no later step writes over.
static void checkFrozen(const Steps& steps) {
  if (steps.frozen < 0 || steps.frozen > static_cast<int>(steps.all.size()))
    refuse("no program has so many frozen steps");
  if (!steps.frozen) return;
  std::vector<Tensor> made, read;
  for (size_t i = 0; i < steps.all.size(); i++) {
    const Step& s = steps.all[i];
    const bool frozen = static_cast<int>(i) < steps.frozen;
    if (writesStore(s)) refuse("a program with frozen steps writes to the store");
    for (int k = 0; k < s.nin; k++) {
      bool frozenToo = s.in[k].space == BAYES_STORE;
      for (const Tensor& t : made)
        if (overlap(s.in[k], t)) frozen ? void(frozenToo = true) : read.push_back(t);
      if (frozen && !frozenToo) refuse("a frozen step reads what is not frozen");
    }
    for (int k = 0; k < s.nout; k++) {
      const auto over = [&](const Tensor& t) { return overlap(s.out[k], t); };
      if (std::any_of(read.begin(), read.end(), over)) refuse("what a frozen step has made is written over");
      if (frozen && s.out[k].space == BAYES_RESULT) refuse("a frozen step writes a result");
      if (frozen) made.push_back(s.out[k]);
      else made.erase(std::remove_if(made.begin(), made.end(), over), made.end());
    }
  }
}

bool Steps::lasting(const Tensor& t) const {
  if (std::any_of(all.begin(), all.end(), writesStore)) return false;
  bool made = t.space == BAYES_STORE;
  for (size_t i = 0; i < all.size(); i++)
    for (int k = 0; k < all[i].nout; k++)
      if (overlap(all[i].out[k], t)) {
        if (static_cast<int>(i) >= frozen) return false;
        made = true;
      }
  return made;
}

void checkProgram(const BayesProgram& p, const BayesTraits& device) {
  if (p.arenaBytes < 0 || p.arenaBytes > MOST_BYTES)
    throw std::runtime_error("out of memory: " + std::to_string(p.arenaBytes >> 20) + " MiB were asked for");
  checkSizes(p.feedBytes, p.feedCount), checkSizes(p.resultBytes, p.resultCount);
  const Steps steps(p);
  Contract contract;
  for (size_t i = 0; i < steps.all.size(); i++) try {
      const Step& s = steps.all[i];
      const ContractOf rules = findContract(s.op);
      if (!rules) throw std::runtime_error("no op has the name '" + std::string(s.op).substr(0, 60) + "'");
      for (int k = 0; k < s.nin; k++) checkPlace(s.in[k], p);
      for (int k = 0; k < s.nout; k++) checkPlace(s.out[k], p);
      contract.check(s, rules);
      const auto precision = static_cast<int>(s.attr("precision"));
      if (!(device.precisions >> precision & 1))
        throw std::runtime_error("[" + std::string(s.op) + "] expected arithmetic that the device has, received " +
                                 PRECISIONS[precision]);
    } catch (const std::runtime_error& e) {
      throw std::runtime_error(e.what() + (" (step " + std::to_string(i) + ")"));
    }
  checkFrozen(steps);
}

}  // namespace bayes
