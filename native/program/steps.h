// The steps of a program, copied out of the table's structs: what a plan keeps of them, and what is checked of them.
#pragma once
#include <string>
#include <vector>
#include "step.h"

namespace bayes {

constexpr int64_t MOST_BYTES = int64_t{1} << 46;  // of one buffer: sums and products of sizes below do not overflow

struct Steps {
  std::vector<Tensor> tensors;
  std::vector<Step> all;

  int frozen;  // the first so many depend on the store alone

  explicit Steps(const BayesProgram& p);
  Steps(const Steps&) = delete;
  Steps& operator=(const Steps&) = delete;
  bool lasting(const Tensor& t) const;  // an input that changes only where somebody else writes to the store

 private:
  std::vector<Attr> attrs;
  std::vector<double> values;
  std::vector<std::string> names;
};

int64_t bytesOf(const Tensor& t);
bool writesStore(const Step& s);

// What holds of a program on every device, so that none need doubt it: dtypes, ranks and sizes are possible, tensors
// lie within the arena, the feeds and the results, each step keeps its op's contract (contract.h), and its arithmetic
// is one of the device's precisions (the attribute "precision": the number of a bit of BayesPrecisions), and frozen
// steps are (backend.h). Whether the store has the buffers is the device's to say. Throws the sentence.
void checkProgram(const BayesProgram& program, const BayesTraits& device);

}  // namespace bayes
