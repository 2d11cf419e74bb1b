// The CPU backend in a process of its own, without Node: so that a build for another processor can run under an
// emulator. It answers requests from one pipe on another; test/driver/client.ts is the other end, wire.h what both write.
#include "wire.h"
#include "native/program/culprit.h"
#include "native/program/steps.h"
#include "native/cpu/device.h"
#include "native/cpu/isa.h"
#include "native/cpu/pool.h"

namespace {

Reader in = {nullptr, [] { exit(0); }};  // the other end has gone
FILE* to;

int64_t number() { return in.number(); }
void put(int64_t v) { fwrite(&v, sizeof v, 1, to); }
void put(const void* p, size_t n) { put(static_cast<int64_t>(n)), fwrite(p, 1, n, to); }
void put(const std::string& s) { put(s.data(), s.size()); }

struct Plan {
  void* plan;
  std::vector<int64_t> resultBytes;
  bayes::Culprit culprit;
};

// As the addon does: the program is held to its contracts before the device sees it.
std::string create(void* store, const BayesProgram& program, Plan& made, int64_t& workspace) {
  try {
    bayes::checkProgram(program, *bayes::cpuBackend().traits(0));
  } catch (const std::exception& e) {
    return e.what();
  }
  const char* error = bayes::cpuBackend().planCreate(store, &program, &made.plan, &workspace);
  return error ? error : "";
}

template <class T>
T* pointer() {
  return reinterpret_cast<T*>(number());
}
// Every answer starts with the error, empty if there is none.
void answer(const char* error) { put(std::string(error ? error : "")); }
void answer(const std::string& error) { put(error); }

void serve(const std::string& what) {
  const BayesBackend& cpu = bayes::cpuBackend();
  if (what == "isa") {
    answer(""), put(std::string(bayes::isaName()));
  } else if (what == "setThreads") {
    bayes::setPoolThreads(static_cast<int>(number())), answer("");
  } else if (what == "store") {
    void* store = nullptr;
    answer(cpu.storeCreate(0, &store)), put(reinterpret_cast<int64_t>(store));
  } else if (what == "closeStore") {
    cpu.storeDestroy(pointer<void>()), answer("");
  } else if (what == "alloc") {
    void* store = pointer<void>();
    int32_t index = -1;
    answer(cpu.storeAlloc(store, number(), &index)), put(int64_t{index});
  } else if (what == "free") {
    void* store = pointer<void>();
    answer(cpu.storeFree(store, static_cast<int32_t>(number())));
  } else if (what == "write" || what == "read") {
    void* store = pointer<void>();
    const int32_t index = static_cast<int32_t>(number());
    const int64_t offset = number();
    std::vector<char> b = in.block();  // for "read": as many bytes as are wanted
    const auto size = static_cast<int64_t>(b.size());
    if (what == "write") answer(cpu.storeWrite(store, index, offset, b.data(), size));
    else answer(cpu.storeRead(store, index, offset, b.data(), size)), put(b.data(), b.size());
  } else if (what == "plan") {
    void* store = pointer<void>();
    const Program p(in);
    Plan* made = new Plan{nullptr, p.results, bayes::Culprit(p.program)};
    int64_t workspace = 0;
    answer(create(store, p.program, *made, workspace));
    put(reinterpret_cast<int64_t>(made)), put(workspace);
    for (int32_t i = 0; made->plan && i < p.program.stepCount; i++) {
      char words[256] = "";
      cpu.planAlgorithm(made->plan, i, words, sizeof words);
      put(std::string(words));
    }
  } else if (what == "closePlan") {
    Plan* p = pointer<Plan>();
    if (p->plan) cpu.planDestroy(p->plan);
    delete p;
    answer("");
  } else if (what == "run") {
    Plan* p = pointer<Plan>();
    const auto steps = static_cast<int32_t>(number());
    std::deque<std::vector<char>> data;
    std::vector<BayesFeed> feeds;
    for (int64_t n = number(); n > 0; n--) {
      const int64_t stride = number();
      data.push_back(in.block());
      feeds.push_back({data.back().data(), stride});
    }
    std::deque<std::vector<char>> results;
    std::vector<void*> pointers;
    for (int64_t n : p->resultBytes) {
      results.emplace_back(static_cast<size_t>(n * steps));
      pointers.push_back(results.back().data());
    }
    BayesFault fault{};
    const char* error = cpu.planRun(p->plan, steps, feeds.data(), pointers.data(), &fault);
    answer(error);
    if (error && fault.nonFinite)
      fault.programStep = p->culprit.find(cpu, p->plan, fault, feeds.data(), pointers.data());
    put(int64_t{fault.runStep}), put(int64_t{fault.programStep});
    for (const auto& r : results) put(r.data(), r.size());
  } else {
    fprintf(stderr, "driver: no request '%s'\n", what.c_str());
    exit(1);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3 || !(in.from = fopen(argv[1], "rb")) || !(to = fopen(argv[2], "wb"))) {
    fprintf(stderr, "driver: expected two pipes\n");
    return 1;
  }
  for (;;) {
    serve(in.text());
    fflush(to);
  }
}
