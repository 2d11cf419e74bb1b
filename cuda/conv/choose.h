// Which form of a product serves a layer, and in how many parts its depth is cut: by precision and shapes alone, so
// that results have the same bits on every card.
#pragma once
#include "product.h"
#include "weights.h"

namespace bayes {
namespace cuda {

enum Precision { FP32, TF32, BF16 };
inline Precision precisionOf(const Step& s) { return static_cast<Precision>(static_cast<int>(s.attr("precision"))); }

// f(Form()) of the form for this precision and so many channels of a group.
template <class Arithmetic>
using WideMma = Mma<Arithmetic, 128, 64, 16, 64, 32, 3>;
template <class Arithmetic>
using NarrowMma = Mma<Arithmetic, 128, 16, 16, 32, 16, 3>;
typedef Fma<64, 64, 16, 3> WideFma;
typedef Fma<128, 16, 16, 3> NarrowFma;
template <class F>
void withForm(Precision precision, long columns, F f) {
  const bool narrow = columns <= 16;
  if (precision == FP32) return narrow ? f(NarrowFma()) : f(WideFma());
  if (precision == TF32) return narrow ? f(NarrowMma<Tf32>()) : f(WideMma<Tf32>());
  return narrow ? f(NarrowMma<Bf16>()) : f(WideMma<Bf16>());
}

// What a step's scratch memory is taken from; without a launch, the bytes are only counted.
struct Room {
  const Launch* launch;
  char* base;
  size_t used = 0;
  Room(const Step& s, const Launch* l) : launch(l), base(static_cast<char*>(s.scratch)) {}
  float* floats(long n) {
    float* const p = launch ? reinterpret_cast<float*>(base + used) : nullptr;
    used += static_cast<size_t>(roundUp(n, 64)) * 4;
    return p;
  }
};

// The blocks of a product of rows x columns x depth, groups times. Where they are fewer than a large card has
// multiprocessors, the depth is cut, into parts of at least eight stages.
constexpr long FEW_BLOCKS = 132, LEAST_STAGES = 8;
template <class Form>
BlockGrid gridOf(long rows, long columns, long depth, long groups, bool cut) {
  const long rowTiles = rows ? ceilDiv(rows, Form::BM) : 1, columnTiles = ceilDiv(columns, Form::BN);
  const long blocks = rowTiles * columnTiles * groups, stages = ceilDiv(depth, Form::BK);
  long parts = 1;
  if (cut && blocks < FEW_BLOCKS) parts = ceilDiv(2 * FEW_BLOCKS, blocks);
  if (parts > stages / LEAST_STAGES) parts = stages / LEAST_STAGES > 1 ? stages / LEAST_STAGES : 1;
  const long each = ceilDiv(stages, parts);
  parts = ceilDiv(stages, each);
  if (blocks * parts > 0x7fffffff) throw std::runtime_error("expected a layer of at most 2^31 blocks of results");
  return {toInt(rowTiles), toInt(columnTiles), toInt(groups), toInt(parts), toInt(each)};
}
inline Partial partialOf(Room& room, const BlockGrid& grid, long routes, long rows, long channels) {
  Partial p;
  if (grid.parts == 1) return p;
  p.parts = grid.parts, p.rows = toInt(rows), p.pitch = toInt(roundUp(channels, 4));
  p.sums = room.floats(p.parts * routes * p.rows * p.pitch);
  return p;
}
// Few parts are added by one thread, which then draws noise; the many of a weight gradient by eight.
template <int ROUTES, int LANES, class E>
void addUp(const Launch& l, const Partial& p, long channels, const E& epilogue) {
  if (p.parts == 1) return;
  const dim3 blocks(static_cast<unsigned>(ceilDiv(p.rows * ceilDiv(channels, 4) * LANES, ADD_THREADS)));
  launch(addParts<ROUTES, LANES, E>, blocks, dim3(ADD_THREADS), 0, l.stream, p, toInt(channels), epilogue);
}

// A product of an operand of this kind: `cut` says whether its depth may be.
template <Kind A, Layout BL, class E>
void product(Room& room, Precision precision, ProductShape shape, long groups, bool cut, const E& epilogue) {
  constexpr int ROUTES = A == ONE ? 1 : 2;
  const long channels = shape.columns * groups;
  withForm(precision, shape.columns, [&](auto form) {
    typedef decltype(form) Form;
    shape.grid = gridOf<Form>(shape.rows, shape.columns, shape.depth, groups, cut);
    shape.partial = partialOf(room, shape.grid, ROUTES, shape.rows, channels);
    if (!room.launch) return;
    const size_t bytes = ProductMemory<Form, A, BL>::bytes(shape.operands.tiles());
    launch(productKernel<Form, A, BL, E>, dim3(static_cast<unsigned>(shape.grid.blocks())), dim3(Form::THREADS), bytes,
           room.launch->stream, shape, epilogue);
    addUp<ROUTES, 1>(*room.launch, shape.partial, channels, epilogue);
  });
}
// Whether a data gradient's operands, as they lie, leave its block enough shared memory.
inline bool fits(const Card& card, Precision precision, long columns, const Operands& o) {
  bool enough = false;
  withForm(precision, columns, [&](auto form) {
    enough = ProductMemory<decltype(form), PAIR, BY_ROW>::bytes(o.tiles()) <= static_cast<size_t>(card.sharedPerBlock);
  });
  return enough;
}

template <Kind A, Kind B>
void weightProduct(Room& room, Precision precision, WeightShape shape, long groups, const WeightEpilogue& epilogue) {
  constexpr int ROUTES = A == ONE ? 1 : 2;
  withForm(precision, shape.columns, [&](auto form) {
    typedef decltype(form) Form;
    shape.grid = gridOf<Form>(shape.rows, shape.columns, shape.pixels, groups, true);
    shape.partial = partialOf(room, shape.grid, ROUTES, shape.rows + shape.biases, shape.mapChannels);
    if (!room.launch) return;
    const size_t bytes = WeightMemory<Form, A, B>::bytes(shape.image.tiles(), shape.map.tiles());
    launch(weightKernel<Form, A, B>, dim3(static_cast<unsigned>(shape.grid.blocks())), dim3(Form::THREADS), bytes,
           room.launch->stream, shape, epilogue);
    addUp<ROUTES, 8>(*room.launch, shape.partial, shape.mapChannels, epilogue);
  });
}

}  // namespace cuda
}  // namespace bayes
