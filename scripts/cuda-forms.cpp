// Prints what a block of each form of a product has: "kernel arithmetic tile kinds threads bytes", the bytes of shared
// memory at the least and at the most (scripts/cuda-table.mjs).
#include "cuda/conv/choose.h"
#include <algorithm>
#include <cstdio>
#include <initializer_list>

using namespace bayes::cuda;

static void print(const char* kernel, const char* arithmetic, int bm, int bn, const char* kinds, int threads,
                  std::initializer_list<size_t> bytes) {
  std::printf("%s %s %dx%d %s %d %zu %zu\n", kernel, arithmetic, bm, bn, kinds, threads, std::min(bytes),
              std::max(bytes));
}
// An operand that is a gradient has one tile more where there is an activation.
template <class Form>
void form(const char* arithmetic) {
  const auto product = [&](const char* kinds, std::initializer_list<size_t> bytes) {
    print("productKernel", arithmetic, Form::BM, Form::BN, kinds, Form::THREADS, bytes);
  };
  const auto weights = [&](const char* kinds, std::initializer_list<size_t> bytes) {
    print("weightKernel", arithmetic, Form::BM, Form::BN, kinds, Form::THREADS, bytes);
  };
  product("0", {ProductMemory<Form, ONE, BY_DEPTH>::bytes(1), ProductMemory<Form, ONE, BY_ROW>::bytes(1),
                ProductMemory<Form, ONE, BY_ROW>::bytes(2)});
  product("1", {ProductMemory<Form, SQUARE, BY_DEPTH>::bytes(1), ProductMemory<Form, SQUARE, BY_ROW>::bytes(1)});
  product("2", {ProductMemory<Form, PAIR, BY_DEPTH>::bytes(2), ProductMemory<Form, PAIR, BY_ROW>::bytes(2),
                ProductMemory<Form, PAIR, BY_ROW>::bytes(3)});
  weights("0,0", {WeightMemory<Form, ONE, ONE>::bytes(1, 1), WeightMemory<Form, ONE, ONE>::bytes(1, 2)});
  weights("1,2", {WeightMemory<Form, SQUARE, PAIR>::bytes(1, 2), WeightMemory<Form, SQUARE, PAIR>::bytes(1, 3)});
  weights("2,1", {WeightMemory<Form, PAIR, SQUARE>::bytes(2, 1)});
}

int main() {
  form<WideFma>("float32"), form<NarrowFma>("float32");
  form<WideMma<Tf32>>("tf32"), form<NarrowMma<Tf32>>("tf32");
  form<WideMma<Bf16>>("bf16"), form<NarrowMma<Bf16>>("bf16");
}
