// What an op takes, as code beside its CPU kernel. The contract runs once, before any device is asked for a plan, so
// that no kernel need doubt what it is given; a step that breaks it ends the plan with one sentence. It speaks of
// shapes, dtypes and attributes alone.
//
//   CONTRACT(linear) {
//     const bool bias = c.flag("bias");                   // an attribute, 0 or 1
//     c.in("x", "f32[N, C]"), c.in("w", "f32[C, K]");     // the inputs, in order; C is the same number in both
//     if (bias) c.in("bias", "f32[K]");
//     c.out("y", "f32[N, K]");                            // the outputs, in order
//   }
//
// What a contract does not name is refused: another input or output, and an attribute that the kernel would ignore.
//
// Types. A dtype (f32, i32, u8, alternatives as f32|i32, T for the one that the last alternative was) and a shape, a
// list of
//   N     a capital: the size that it had before in this contract, or any
//   4     a number: this size
//   ...   any number of axes of any sizes, the same wherever a contract says it
//   *     the same, but each for itself
//   1...  any number of axes of size 1: a scalar, [] or [1]
// Sizes are at least 1 and their product does not overflow: checkProgram has seen to that (steps.h).
//
// Memory. Inputs lie somewhere; an output lies somewhere unless it is `perhaps` (and nobody reads it). No output
// overlaps another one or an input, but for one after `inPlace`, and nor does an input that the kernel writes.
//
// Lists. A kernel that takes groups of inputs, and makes as many of outputs, says `do { c.anew(), … } while
// (c.inputsLeft())`.
#pragma once
#include "step.h"

namespace bayes {

class Contract;
typedef void (*ContractOf)(Contract& c);
void registerContract(const char* op, ContractOf contract);
ContractOf findContract(const char* op);  // null: no such op

class Contract {
 public:
  Contract();
  ~Contract();
  Contract(const Contract&) = delete;
  Contract& operator=(const Contract&) = delete;
  void check(const Step& s, ContractOf contract);  // of the next step of a plan; throws the sentence

  // ---- Tensors: the next input or output, whose name is for the sentence.
  const Tensor& in(const char* name, const char* type);
  const Tensor& inout(const char* name, const char* type);    // an input that the kernel writes, when it commits
  const Tensor& out(const char* name, const char* type);      // an output that the kernel always writes
  const Tensor& perhaps(const char* name, const char* type);  // an output that it leaves out where nobody reads it
  // the next output may lie where one of these inputs lies: bits, from the first one after `anew` on
  INL void inPlace(unsigned inputs) { overwritable = inputs; }
  INL unsigned nextBit() const { return 1u << ((ins - group) & 31); }  // of the next input
  INL const Tensor* nextInput() const { return inputsLeft() ? step->in + ins : nullptr; }
  INL int inputsLeft() const { return step->nin - ins; }
  INL int outputsLeft() const { return step->nout - outs; }

  // ---- Sizes
  INL long operator[](char letter) const { return sizes[letter - 'A']; }
  INL void let(char letter, long size) { sizes[letter - 'A'] = size; }  // at least 1
  INL void anew() { likes = -1, group = ins; }                          // "..." is another shape from here on

  // No step before it has committed: where it stops a run, steps are run again to find the culprit.
  void beforeCommits() const;

  // ---- What a type cannot say: "[op] expected <text>", a printf format that says what was received too
  void expect(bool holds, const char* text, ...) __attribute__((format(printf, 3, 4)));
  [[noreturn]] void refuse(const char* text, ...) const __attribute__((format(printf, 2, 3)));

  // ---- Attributes: one number, or a list of `count`. Where `otherwise` is given, the attribute may be left out.
  static constexpr long MOST = 0x7fffffff;
  static constexpr double ANY = 1.7976931348623157e308;  // any finite number
  INL bool has(const char* name) const { return step->find(name) != nullptr; }
  INL int count(const char* name) const { return has(name) ? step->find(name)->count : 0; }
  long whole(const char* name, long least, long most);
  long whole(const char* name, long least, long most, long otherwise);
  INL bool flag(const char* name) { return whole(name, 0, 1) != 0; }
  double number(const char* name, double least = -ANY, double most = ANY);
  double number(const char* name, double least, double most, double otherwise);
  const double* wholes(const char* name, int count, long least = 0, long most = MOST);
  const double* numbers(const char* name, int count, double least = -ANY, double most = ANY);
  void shape(const char* name, const Tensor& t, int from = 0);  // the sizes of t's axes from `from` on
  static const char* typeOf(const Tensor& t);                   // for a sentence: "f32[2, 3]", one of the last four

 private:
  struct Ranges;  // of memory, of this step
  Ranges* const ranges;
  const Step* step;
  int ins, outs, group;  // tensors so far; inputs before `anew`
  int likes, dtype;      // axes of "...", -1 before the first; what T is
  unsigned overwritable;
  bool committed = false;  // a step of the plan before
  uint64_t known;          // attributes, as bits
  long sizes[26], like[BAYES_MAX_RANK];

  const Tensor& next(bool input, const char* name, const char* type);
  void match(const Tensor& t, const char* name, const char* type);
  const double* attr(const char* name, int count, double least, double most, bool whole);
  void checkMemory() const;
};

}  // namespace bayes

#define CONTRACT(NAME) [[maybe_unused]] static void contract_##NAME([[maybe_unused]] Contract& c)
