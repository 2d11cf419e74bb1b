// How requests to a backend are written in a pipe (driver.cpp) or a file (cuda/check/replay.cpp). Numbers are int64 or
// double in the machine's own order (both ends are little-endian), strings and byte blocks have their length first.
#pragma once
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <string>
#include <vector>
#include "native/shared/backend.h"

struct Reader {
  FILE* from;
  void (*ended)();  // nothing is left: does not return

  void bytes(void* p, size_t n) {
    if (n && fread(p, 1, n, from) != n) ended();
  }
  int64_t number() {
    int64_t v;
    bytes(&v, sizeof v);
    return v;
  }
  int32_t number32() { return static_cast<int32_t>(number()); }
  double real() {
    double v;
    bytes(&v, sizeof v);
    return v;
  }
  std::vector<char> block() {
    const int64_t size = number();
    if (size < 0 || size > int64_t{1} << 34) ended();
    std::vector<char> b(static_cast<size_t>(size));
    bytes(b.data(), b.size());
    return b;
  }
  std::string text() {
    const std::vector<char> b = block();
    return {b.begin(), b.end()};
  }
};

// A program, with what its pointers point at.
struct Program {
  std::deque<std::string> names;  // deques, so that pointers into them stay
  std::deque<std::vector<BayesRef>> refs;
  std::deque<std::vector<BayesAttr>> attrs;
  std::deque<std::vector<double>> values;
  std::vector<BayesStep> steps;
  std::vector<int64_t> feeds, results;
  BayesProgram program{};

  explicit Program(Reader& in) {
    program.stepCount = in.number32();
    for (int i = 0; i < program.stepCount; i++) {
      BayesStep s{};
      names.push_back(in.text()), s.op = names.back().c_str();
      s.commits = in.number32();
      s.inputs = readRefs(in, s.inputCount), s.outputs = readRefs(in, s.outputCount);
      s.attrCount = in.number32();
      attrs.emplace_back();
      for (int k = 0; k < s.attrCount; k++) {
        names.push_back(in.text());
        values.emplace_back(static_cast<size_t>(in.number()));
        in.bytes(values.back().data(), values.back().size() * sizeof(double));
        attrs.back().push_back(
            {names.back().c_str(), static_cast<int32_t>(values.back().size()), values.back().data()});
      }
      s.attrs = attrs.back().data();
      steps.push_back(s);
    }
    for (auto* sizes : {&feeds, &results})
      for (int64_t n = in.number(); n > 0; n--) sizes->push_back(in.number());
    program.arenaBytes = in.number(), program.frozenSteps = in.number32();
    program.steps = steps.data();
    program.feedCount = static_cast<int32_t>(feeds.size()), program.feedBytes = feeds.data();
    program.resultCount = static_cast<int32_t>(results.size()), program.resultBytes = results.data();
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

 private:
  const BayesRef* readRefs(Reader& in, int32_t& count) {
    count = in.number32();
    refs.emplace_back();
    for (int i = 0; i < count; i++) {
      BayesRef r{};
      r.dtype = in.number32(), r.space = in.number32(), r.index = in.number32(), r.offset = in.number();
      r.rank = in.number32();
      if (r.rank < 0 || r.rank > BAYES_MAX_RANK) in.ended();
      for (int k = 0; k < r.rank; k++) r.dims[k] = in.number();
      refs.back().push_back(r);
    }
    return refs.back().data();
  }
};
