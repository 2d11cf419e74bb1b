// The device behind its C table: chunks of steps, faults, what a run leaves behind; on the emulator also what it costs,
// and machines without a GPU that can be used. `device LIBRARY` prints what fails and ends with 1; on a machine with a
// GPU it is the first thing to try, for it needs g++ alone.
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <string>
#include <vector>
#include "native/shared/backend.h"

namespace {
struct Counters {  // of test/emulator/emu.h
  int64_t launches, synchronisations, graphLaunches, allocations;
};
const BayesBackend* device;
const Counters* counters;  // null: of a real GPU
int failures;

void expect(bool holds, const std::string& what) {
  if (holds) return;
  printf("FAILED: %s\n", what.c_str());
  failures++;
}
void expectText(const char* got, const std::string& part, const std::string& what) {
  expect(got && std::string(got).find(part) != std::string::npos,
         what + ": expected '" + part + "', received '" + (got ? got : "no error") + "'");
}
void succeed(const char* error, const char* what) {
  if (error) printf("FAILED: %s: %s\n", what, error), exit(1);
}

constexpr int N = 4;
BayesRef ref(int space, int index, int64_t offset, std::vector<int64_t> dims, int dtype = BAYES_F32) {
  BayesRef r{dtype, static_cast<int32_t>(dims.size()), space, index, offset, {}};
  for (size_t i = 0; i < dims.size(); i++) r.dims[i] = dims[i];
  return r;
}

// y = relu(x); checkFinite(x); p -= lr x; result y. Feeds: x [4] and lr [].
struct Training {
  void *store = nullptr, *plan = nullptr;
  int32_t p = -1;
  std::vector<BayesRef> refs;
  std::vector<BayesStep> steps;
  std::vector<BayesAttr> attrs;
  const double zero = 0;
  int64_t feedBytes[2] = {N * 4, 4}, resultBytes[1] = {N * 4};

  Training() {
    succeed(device->storeCreate(0, &store), "storeCreate");
    succeed(device->storeAlloc(store, N * 4, &p), "storeAlloc");
    refs = {ref(BAYES_FEED, 0, 0, {N}), ref(BAYES_ARENA, 0, 0, {N}), ref(BAYES_FEED, 1, 0, {}),
            ref(BAYES_STORE, p, 0, {N}), ref(BAYES_FEED, 0, 0, {N}), ref(BAYES_RESULT, 0, 0, {N})};
    for (const char* name : {"momentum", "weightDecay", "nesterov", "masked"}) attrs.push_back({name, 1, &zero});
    steps = {{"relu", 1, 1, 0, 0, &refs[0], &refs[1], nullptr},
             {"checkFinite", 1, 0, 0, 0, &refs[0], nullptr, nullptr},
             {"copy", 1, 1, 0, 0, &refs[1], &refs[5], nullptr},
             {"sgd", 3, 0, 4, 1, &refs[2], nullptr, attrs.data()}};
    const BayesProgram program{static_cast<int32_t>(steps.size()), 2, 1, steps.data(), 256, feedBytes, resultBytes};
    int64_t workspace = -1;
    succeed(device->planCreate(store, &program, &plan, &workspace), "planCreate");
    expect(workspace > 0, "workspace bytes");
  }
  ~Training() { device->planDestroy(plan), device->storeDestroy(store); }

  std::vector<float> x, y;
  std::vector<float> lr;
  BayesFault fault{};
  const char* run(int count, bool sameRate = true) {
    y.assign(static_cast<size_t>(count * N), -99);
    const BayesFeed feeds[2] = {{x.data(), N * 4}, {lr.data(), sameRate ? 0 : 4}};
    void* results[1] = {y.data()};
    return device->planRun(plan, count, feeds, results, &fault);
  }
  void fill(int count) {
    x.resize(static_cast<size_t>(count * N));
    for (int i = 0; i < count * N; i++) x[static_cast<size_t>(i)] = static_cast<float>((i * 7) % 11 - 5);
    lr = {0.25f};
  }
  std::vector<float> parameters() {
    std::vector<float> v(N);
    succeed(device->storeRead(store, p, 0, v.data(), N * 4), "storeRead");
    return v;
  }
  // what p is after the first n steps
  std::vector<float> after(int n) const {
    std::vector<float> v(N);
    for (int i = 0; i < n * N; i++) v[static_cast<size_t>(i % N)] -= 0.25f * x[static_cast<size_t>(i)];
    return v;
  }
};

void chunks() {
  Training t;
  constexpr int COUNT = 150;  // three chunks of 64
  t.fill(COUNT);
  const Counters before = counters ? *counters : Counters{};
  succeed(t.run(COUNT), "planRun");
  if (counters) {
    const int64_t waits = counters->synchronisations - before.synchronisations;
    expect(waits == 3, "one synchronisation a chunk of 64 steps, not " + std::to_string(waits) + " for 3");
    expect(counters->allocations == before.allocations, "a run allocates nothing");
    expect(counters->graphLaunches >= COUNT - 1, "all steps but the first are launches of a graph");
  }
  expect(t.parameters() == t.after(COUNT), "parameters after 150 steps");
  for (int i = 0; i < COUNT * N; i++) {
    const float want = fmaxf(t.x[static_cast<size_t>(i)], 0);
    if (t.y[static_cast<size_t>(i)] != want) return expect(false, "result of step " + std::to_string(i / N));
  }
  // a rate for each step, and a run of one step, whose slices need no staging
  Training u;
  u.fill(2), u.lr = {0.25f, 0.f};
  succeed(u.run(2, false), "planRun with a rate a step");
  expect(u.parameters() == u.after(1), "a learning rate for each step");
  // slices that overlap: step i reads x from element i on
  u.fill(3), u.y.assign(3 * N, -99);
  const BayesFeed windows[2] = {{u.x.data(), 4}, {u.lr.data(), 0}};
  void* results[1] = {u.y.data()};
  succeed(device->planRun(u.plan, 3, windows, results, &u.fault), "planRun on slices that overlap");
  for (size_t i = 0; i < 3 * N; i++) expect(u.y[i] == fmaxf(u.x[i / N + i % N], 0), "slices that overlap");
  u.fill(1);
  succeed(u.run(1), "planRun of one step");
  expect(u.y[2] == fmaxf(u.x[2], 0), "result of a run of one step");
}

void faults() {
  Training t;
  t.fill(100), t.x[70 * N + 1] = NAN, t.x[80 * N] = INFINITY;
  expectText(t.run(100), "a value that is not finite (NaN or infinity)", "a NaN");
  expect(t.fault.runStep == 70 && t.fault.programStep == 1 && t.fault.nonFinite == 1, "a NaN: where");
  expectText(t.fault.message, "not finite", "a NaN: the fault's sentence");
  expect(t.parameters() == t.after(70), "steps before the one at fault are committed, it is not, nor are those behind it");
  expect(t.y[69 * N] == fmaxf(t.x[69 * N], 0), "results of the steps before it");
  // who made it: step by step, without committing
  const BayesFeed feeds[2] = {{t.x.data(), N * 4}, {t.lr.data(), 0}};
  void* results[1] = {t.y.data()};
  float out[N];
  succeed(device->planStep(t.plan, 70, feeds, results, 0), "planStep");
  succeed(device->planRead(t.plan, 0, 0, 0, out, sizeof out), "planRead");
  expect(out[1] != out[1] && out[0] == fmaxf(t.x[70 * N], 0), "planRead gives what planStep wrote");
  expectText(device->planRead(t.plan, 0, 0, 4, out, sizeof out), "past the end", "planRead past the end");
  expectText(device->planStep(t.plan, 0, feeds, results, 9), "no such step", "planStep of no step");
  // the next run knows nothing of it
  t.fill(3);
  const std::vector<float> from = t.parameters();
  succeed(t.run(3), "planRun after a fault");
  for (int i = 0; i < N; i++)
    expect(t.parameters()[static_cast<size_t>(i)] == from[static_cast<size_t>(i)] + t.after(3)[static_cast<size_t>(i)], "a run after a fault");
  t.fill(2), t.lr = {0.25f, NAN};
  const std::vector<float> kept = t.parameters();
  expectText(t.run(2, false), "sgd: the learning rate is not finite", "a learning rate that is none");
  expect(t.fault.runStep == 1 && t.fault.programStep == 3 && t.fault.nonFinite == 0, "a learning rate: where");
  for (int i = 0; i < N; i++)
    expect(t.parameters()[static_cast<size_t>(i)] == kept[static_cast<size_t>(i)] - 0.25f * t.x[static_cast<size_t>(i)], "the step before a bad rate");
}

// Blocks of one launch find the same fault: none may leave its threads in two minds.
void rates() {
  void *store, *plan;
  constexpr int64_t MANY = 3 * 4096 + 5;  // of four blocks
  int32_t index[4];
  succeed(device->storeCreate(0, &store), "storeCreate");
  for (int32_t& i : index) succeed(device->storeAlloc(store, MANY * 4, &i), "storeAlloc");
  std::vector<BayesRef> in = {ref(BAYES_FEED, 0, 0, {}), ref(BAYES_FEED, 1, 0, {}, BAYES_I32)};
  for (int32_t i : index) in.push_back(ref(BAYES_STORE, i, 0, {MANY}));
  const double beta = 0.9, zero = 0;
  const BayesAttr attrs[] = {{"beta1", 1, &beta}, {"beta2", 1, &beta}, {"epsilon", 1, &beta}, {"weightDecay", 1, &zero}, {"decoupled", 1, &zero}, {"masked", 1, &zero}};
  const BayesStep step{"adam", 6, 0, 6, 1, in.data(), nullptr, attrs};
  const int64_t bytes[2] = {4, 4};
  const BayesProgram program{1, 2, 0, &step, 0, bytes, nullptr};
  int64_t workspace;
  succeed(device->planCreate(store, &program, &plan, &workspace), "planCreate");
  const float rate[2] = {NAN, 0.1f};
  const int32_t number[2] = {1, 0};
  const char* says[2] = {"adam: the learning rate is not finite", "adam: the number of the step is not from 1 on"};
  const std::vector<float> ones(MANY, 1.f);
  std::vector<float> left(MANY);
  for (int32_t i : index) succeed(device->storeWrite(store, i, 0, ones.data(), MANY * 4), "storeWrite");
  for (int k = 0; k < 2; k++) {
    const BayesFeed feeds[2] = {{rate + k, 0}, {number + k, 0}};
    BayesFault fault;
    expectText(device->planRun(plan, 3, feeds, nullptr, &fault), says[k], says[k]);
    expect(fault.runStep == 0, "a fault of adam: where");
  }
  for (int32_t i : index) {
    succeed(device->storeRead(store, i, 0, left.data(), MANY * 4), "storeRead");
    expect(left == ones, "adam that has found a fault writes nothing");
  }
  device->planDestroy(plan), device->storeDestroy(store);
}

void indices() {
  void *store, *plan;
  int32_t data;
  succeed(device->storeCreate(0, &store), "storeCreate");
  succeed(device->storeAlloc(store, 10 * 4, &data), "storeAlloc");
  const BayesRef in[2] = {ref(BAYES_STORE, data, 0, {10}), ref(BAYES_FEED, 0, 0, {3}, BAYES_I32)};
  const BayesRef out = ref(BAYES_RESULT, 0, 0, {3});
  const BayesStep step{"gatherRows", 2, 1, 0, 0, in, &out, nullptr};
  const int64_t bytes[1] = {12};
  const BayesProgram program{1, 1, 1, &step, 0, bytes, bytes};
  int64_t workspace;
  succeed(device->planCreate(store, &program, &plan, &workspace), "planCreate");
  const int32_t index[6] = {0, 9, 3, 1, 12, -1};
  float y[6];
  void* results[1] = {y};
  BayesFeed feed{index, 12};
  BayesFault fault;
  expectText(device->planRun(plan, 2, &feed, results, &fault), "gatherRows: example 12 is outside the data set of 10 examples", "an index");
  expect(fault.runStep == 1 && fault.programStep == 0, "an index: where");
  expectText(device->storeAlloc(store, int64_t{1} << 50, &data), "out of memory", "memory that there is not");
  expectText(device->storeRead(store, 7, 0, y, 4), "store: no buffer 7", "a buffer that is none");
  expectText(device->storeWrite(store, 0, 36, y, 8), "past the end", "a write past the end");
  succeed(device->storeFree(store, 0), "storeFree");
  expectText(device->planRun(plan, 1, &feed, results, &fault), "has been freed", "a buffer that has been freed");
  device->planDestroy(plan);
  const BayesStep unknown{"nothing", 2, 1, 0, 0, in, &out, nullptr};
  const BayesProgram other{1, 1, 1, &unknown, 0, bytes, bytes};
  const BayesRef crooked[2] = {ref(BAYES_STORE, 0, 4, {2}), in[1]};
  const BayesStep uneven{"gatherRows", 2, 1, 0, 0, crooked, &out, nullptr};
  const BayesProgram third{1, 1, 1, &uneven, 0, bytes, bytes};
  expectText(device->planCreate(store, &third, &plan, &workspace), "multiples of 16 bytes, received one at 4", "a tensor that vectors cannot load");
  expectText(device->planCreate(store, &other, &plan, &workspace), "no kernel for op 'nothing' on this device", "an op that is none");
  device->storeDestroy(store);
}

void stop() {
  Training t;
  t.fill(5);
  device->planStop(t.plan);
  expectText(t.run(5), "the run was stopped", "a plan that was stopped");
  expect(t.parameters() == t.after(0), "it does nothing");
}

void machines() {
  const struct {
    const char *how, *says;
  } all[] = {{"driver", "no NVIDIA driver on this machine (libcuda.so.1 was not found)"},
             {"old", "the NVIDIA driver is too old"},
             {"none", "an NVIDIA driver but no GPU on this machine"},
             {"capability", "has compute capability 7.5, expected 8.0 or newer"}};
  char name[128] = "";
  for (const auto& m : all) {
    setenv("BAYESCNN_EMULATED_FAIL", m.how, 1);
    expectText(device->probe(0, name, sizeof name), m.says, m.how);
    void* store = nullptr;
    expectText(device->storeCreate(0, &store), m.says, m.how);
  }
  setenv("BAYESCNN_EMULATED_FAIL", "full", 1);
  void* none = nullptr;
  expectText(device->storeCreate(0, &none), "no CUDA device: choice of the GPU: out of memory", "a card that others have filled");
  unsetenv("BAYESCNN_EMULATED_FAIL");
  expect(!device->probe(0, name, sizeof name) && !strncmp(name, "cuda:0 (", 8), "a machine with a GPU");
  expectText(device->probe(3, name, sizeof name), "expected a GPU from 0 to 0, received 3", "a GPU that is none");
  expect(device->deviceCount() == 1, "one GPU");
  Training t;
  t.fill(3);
  setenv("BAYESCNN_EMULATED_FAIL", "lost", 1);
  expectText(t.run(3), "cuda:0 has stopped", "a card that has stopped");
  succeed(device->storeFree(t.store, t.p), "storeFree on a card that has stopped");
  unsetenv("BAYESCNN_EMULATED_FAIL");
}

}  // namespace

int main(int argc, char** argv) {
  void* library = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : nullptr;
  if (!library) return fprintf(stderr, "device: expected a library (%s)\n", argc == 2 ? dlerror() : "none"), 2;
  device = reinterpret_cast<BayesBackendOf>(dlsym(library, "bayescnnBackend"))();
  const auto emulated = reinterpret_cast<const Counters* (*)()>(dlsym(library, "emulatedCounters"));
  counters = emulated ? emulated() : nullptr;
  expect(device->abi == BAYES_ABI, "the table's version");
  chunks(), faults(), rates(), indices(), stop();
  if (counters) machines();
  printf("%d failed\n", failures);
  return failures != 0;
}
