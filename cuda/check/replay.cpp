// Replays a pack on any library with the C table (native/shared/backend.h), without Node: programs, inputs and the
// answers that they have to give, recorded by record.mjs in the bytes of test/driver/wire.h.
//   replay LIBRARY PACK [--device 0] [--arithmetic fp32|tf32|bf16] [--only PREFIX] [--out ROWS.jsonl]
// The arithmetic is that of products (the attribute `precision`) in place of the pack's, and loosens the tolerances.
// With --out every row is written when it is done, and those that are there already are left out: a replay that is
// stopped goes on. Ends with the counts; the exit code is 1 where a row failed, 2 where nothing could be tried.
#include <dlfcn.h>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include "native/program/culprit.h"
#include "test/driver/wire.h"

namespace {

[[noreturn]] void quit(const std::string& why) {
  std::cerr << "replay: " << why << "\n";
  exit(2);
}

std::string quoted(const std::string& s) {
  std::string out = "\"";
  for (const char c : s) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 32 ? ' ' : c;
  }
  return out + "\"";
}

const char* const ARITHMETICS[] = {"fp32", "tf32", "bf16"};
// How far from float32 results may be: the first one, and the others, since noise over the root of a variance makes
// much of a little.
const double LOOSE[][2] = {{0, 0}, {1e-2, 0.05}, {6e-2, 1}};

struct Store {
  void* store = nullptr;
  std::map<int32_t, int32_t> buffers;  // number when recorded -> number here
};
struct Plan {
  void* plan = nullptr;
  std::vector<int64_t> resultBytes;
  std::unique_ptr<bayes::Culprit> culprit;
};

class Replay {
 public:
  Replay(const BayesBackend& b, int32_t number, Reader& reader) : backend(b), device(number), in(reader) {}
  std::string only, file;
  int precision = -1;  // as in lib/graph/trace.ts: fp32, tf32, bf16; -1: as the pack says
  int passed = 0, failed = 0, skipped = 0;

  void all() {
    if (in.text() != "bayescnn pack 2") quit("expected a pack of version 2, received something else");
    std::set<std::string> there;
    if (!file.empty()) {
      std::ifstream before(file);
      for (std::string line; std::getline(before, line);) there.insert(line.substr(0, line.find(", \"ok\"")));
      out.open(file, std::ios::app);
      if (!out) quit("cannot write " + file);
    }
    for (std::string what = in.text(); what != "end"; what = in.text()) {
      if (what != "row") {
        serve(what);
        continue;
      }
      finish();
      row = in.text();
      leftOut = row.compare(0, only.size(), only) != 0;
      if (precision >= 0) row += std::string(", ") + ARITHMETICS[precision];
      leftOut |= there.count("{\"row\": " + quoted(row)) > 0;
      why.clear(), worst = 0, seconds.clear();
      started = std::chrono::steady_clock::now();
    }
    finish();
    std::cout << passed << " passed, " << failed << " failed, " << skipped << " left out\n";
  }

 private:
  const BayesBackend& backend;
  const int32_t device;
  Reader& in;
  std::ofstream out;
  std::string row, why;  // the row under way, and what is wrong with it
  bool leftOut = true;
  double worst = 0;
  std::vector<double> seconds;
  std::chrono::steady_clock::time_point started;
  std::map<int64_t, Store> stores;
  std::map<int64_t, Plan> plans;

  void fail(const std::string& sentence) {
    if (why.empty()) why = sentence;
  }
  bool holds(const char* error) {
    if (error) fail(error);
    return !error;
  }

  void finish() {
    for (auto& [n, p] : plans)
      if (p.plan) backend.planDestroy(p.plan);
    for (auto& [n, s] : stores)
      if (s.store) backend.storeDestroy(s.store);
    plans.clear(), stores.clear();
    if (row.empty()) return;
    if (leftOut) {
      skipped++;
      return;
    }
    (why.empty() ? passed : failed)++;
    if (!why.empty()) std::cout << row << ": " << why << std::endl;
    if (!out.is_open()) return;
    const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    out << "{\"row\": " << quoted(row) << ", \"ok\": " << (why.empty() ? "true" : "false") << ", \"worst\": " << worst;
    if (!why.empty()) out << ", \"why\": " << quoted(why);
    if (!seconds.empty()) {
      std::sort(seconds.begin(), seconds.end());
      out << ", \"runs\": " << seconds.size() << ", \"seconds\": " << seconds[seconds.size() / 2]
          << ", \"least\": " << seconds[0];
    }
    out << ", \"took\": " << took << "}" << std::endl;
  }

  // Of a row that is left out, or has failed, everything is read and nothing done.
  bool doing() const { return !leftOut && why.empty(); }

  int32_t bufferOf(const Store& s, int32_t recorded) {
    const auto it = s.buffers.find(recorded);
    if (it == s.buffers.end()) fail("the pack names a buffer that it has not asked for");
    return it == s.buffers.end() ? -1 : it->second;
  }

  void serve(const std::string& what) {
    if (what == "store") {
      Store& s = stores[in.number()];
      if (doing()) holds(backend.storeCreate(device, &s.store));
    } else if (what == "alloc") {
      Store& s = stores[in.number()];
      const int64_t bytes = in.number();
      const int32_t recorded = in.number32();
      int32_t index = -1;
      if (doing() && holds(backend.storeAlloc(s.store, bytes, &index))) s.buffers[recorded] = index;
    } else if (what == "free") {
      Store& s = stores[in.number()];
      const int32_t recorded = in.number32();
      if (doing()) holds(backend.storeFree(s.store, bufferOf(s, recorded)));
      s.buffers.erase(recorded);
    } else if (what == "write" || what == "fill") {
      Store& s = stores[in.number()];
      const int32_t recorded = in.number32();
      const int64_t offset = in.number();
      const std::vector<char> data = what == "write" ? in.block() : filled();
      if (doing())
        holds(
            backend.storeWrite(s.store, bufferOf(s, recorded), offset, data.data(), static_cast<int64_t>(data.size())));
    } else if (what == "read") {
      Store& s = stores[in.number()];
      const int32_t recorded = in.number32();
      const int64_t offset = in.number();
      const double tolerance = in.real();
      const std::vector<char> want = in.block();
      std::vector<char> got(want.size());
      if (doing() && holds(backend.storeRead(s.store, bufferOf(s, recorded), offset, got.data(),
                                             static_cast<int64_t>(got.size()))))
        compare("buffer " + std::to_string(recorded), got, want, tolerance);
    } else if (what == "plan") {
      Plan& p = plans[in.number()];
      Store& s = stores[in.number()];
      Program program(in);
      p.resultBytes = program.results, p.culprit = std::make_unique<bayes::Culprit>(program.program);
      if (!doing()) return;
      for (auto& refs : program.refs)
        for (BayesRef& r : refs)
          if (r.space == BAYES_STORE) r.index = bufferOf(s, r.index);
      const double number = precision;
      for (auto& attrs : program.attrs)
        for (BayesAttr& a : attrs)
          if (precision >= 0 && !strcmp(a.name, "precision") && a.count == 1) a.values = &number;
      int64_t workspace = 0;
      if (doing()) holds(backend.planCreate(s.store, &program.program, &p.plan, &workspace));
    } else if (what == "closePlan") {
      Plan& p = plans[in.number()];
      if (p.plan) backend.planDestroy(p.plan);
      p.plan = nullptr;
    } else if (what == "run" || what == "time") {
      run(what == "time");
    } else {
      quit("the pack is damaged: it asks for '" + what.substr(0, 40) + "'");
    }
  }

  // Uniform floats, which a pack need not hold.
  std::vector<char> filled() {
    const int64_t count = in.number();
    const double low = in.real(), high = in.real();
    auto state = static_cast<uint32_t>(in.number());
    if (count < 0 || count > int64_t{1} << 32) in.ended();
    std::vector<char> bytes(static_cast<size_t>(count) * 4);
    for (int64_t i = 0; i < count; i++) {
      state = state * 1664525u + 1013904223u;
      const auto value = static_cast<float>(low + (high - low) * (state >> 8) / 16777216.0);
      memcpy(bytes.data() + 4 * i, &value, 4);
    }
    return bytes;
  }

  // plan, steps, feeds, then the error that it has to end with (mostly none), and results with their tolerances; or how
  // often it is timed.
  void run(bool timed) {
    const Plan& p = plans[in.number()];
    const int32_t steps = in.number32();
    std::deque<std::vector<char>> data;
    std::vector<BayesFeed> feeds;
    for (int64_t n = in.number(); n > 0; n--) {
      const int64_t stride = in.number();
      data.push_back(in.block());
      feeds.push_back({data.back().data(), stride});
    }
    std::deque<std::vector<char>> results;
    std::vector<void*> pointers;
    for (const int64_t n : p.resultBytes) {
      results.emplace_back(static_cast<size_t>(n * steps));
      pointers.push_back(results.back().data());
    }
    BayesFault fault{};
    const auto once = [&] { return backend.planRun(p.plan, steps, feeds.data(), pointers.data(), &fault); };
    if (timed) {
      const int64_t times = in.number();
      for (int64_t i = -1; i < times && doing(); i++) {  // the first one builds what later ones have
        const auto from = std::chrono::steady_clock::now();
        holds(once());
        const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - from).count();
        if (i >= 0) seconds.push_back(took / steps);
      }
      return;
    }
    const std::string error = in.text();
    const int32_t runStep = in.number32(), programStep = in.number32();
    if (doing()) {
      const char* received = once();
      const std::string said = received ? received : "";
      if (received && fault.nonFinite)
        fault.programStep = p.culprit->find(backend, p.plan, fault, feeds.data(), pointers.data());
      if (said != error)
        fail("expected " + (error.empty() ? "no error" : error) + ", received " + (said.empty() ? "none" : said));
      else if (!error.empty() && (fault.runStep != runStep || (programStep >= 0 && fault.programStep != programStep)))
        fail("expected the error at step " + std::to_string(runStep) + ", op " + std::to_string(programStep) +
             ", received " + std::to_string(fault.runStep) + ", " + std::to_string(fault.programStep));
    }
    for (int64_t n = in.number(); n > 0; n--) {
      const auto which = static_cast<size_t>(in.number());
      double tolerance = in.real();
      const std::vector<char> want = in.block();
      if (which >= results.size()) quit("the pack is damaged: it compares a result that there is not");
      if (precision > 0 && tolerance > 0) tolerance = std::max(tolerance, LOOSE[precision][which > 0]);
      if (doing()) compare("result " + std::to_string(which), results[which], want, tolerance);
    }
  }

  // Floats within `tolerance` of 1 + |expected|; 0: the same bytes.
  void compare(const std::string& what, const std::vector<char>& got, const std::vector<char>& want, double tolerance) {
    if (got.size() != want.size())
      return fail(what + ": " + std::to_string(got.size()) + " bytes instead of " + std::to_string(want.size()));
    if (tolerance == 0) {
      for (size_t i = 0; i < got.size(); i++)
        if (got[i] != want[i]) return fail(what + ": byte " + std::to_string(i) + " differs");
      return;
    }
    // rounded operands are off by a part of what is summed, so by a part of the largest result
    double scale = 0;
    for (size_t i = 0; precision > 0 && i + 4 <= want.size(); i += 4) {
      float b;
      memcpy(&b, want.data() + i, 4);
      if (std::isfinite(b)) scale = std::max(scale, std::fabs(static_cast<double>(b)));
    }
    for (size_t i = 0; i + 4 <= got.size(); i += 4) {
      float a, b;
      memcpy(&a, got.data() + i, 4), memcpy(&b, want.data() + i, 4);
      if (a == b || (std::isnan(a) && std::isnan(b))) continue;
      const double error =
          std::fabs(static_cast<double>(a) - b) / (1 + std::max(scale, std::fabs(static_cast<double>(b))));
      if (error > worst) worst = error;
      if (error <= tolerance) continue;
      std::ostringstream s;
      s << what << ": at " << i / 4 << ", " << a << " instead of " << b;
      return fail(s.str());
    }
  }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3)
    quit("expected LIBRARY PACK [--device 0] [--arithmetic fp32|tf32|bf16] [--only PREFIX] [--out ROWS.jsonl]");
  void* library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (!library) quit(std::string("cannot open the library: ") + dlerror());
  const auto of = reinterpret_cast<BayesBackendOf>(dlsym(library, "bayescnnBackend"));
  if (!of) quit("the library has no bayescnnBackend");
  const BayesBackend* backend = of();
  if (backend->abi != BAYES_ABI)
    quit("expected ABI " + std::to_string(BAYES_ABI) + ", received " + std::to_string(backend->abi));
  Reader in = {fopen(argv[2], "rb"), [] { quit("the pack is damaged: it ends early"); }};
  if (!in.from) quit(std::string("cannot read ") + argv[2]);
  int32_t device = 0;
  std::map<std::string, std::string> options;
  for (int i = 3; i + 1 < argc; i += 2) options[argv[i]] = argv[i + 1];
  if (options.count("--device")) device = atoi(options["--device"].c_str());
  char name[256] = "";
  if (const char* error = backend->probe(device, name, sizeof name)) quit(error);
  std::cout << name << std::endl;
  Replay replay(*backend, device, in);
  replay.only = options["--only"], replay.file = options["--out"];
  for (int i = 0; i < 3; i++)
    if (options["--arithmetic"] == ARITHMETICS[i]) replay.precision = i;
  replay.all();
  return replay.failed || !replay.passed ? 1 : 0;
}
