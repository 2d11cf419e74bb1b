// The three kernels of Bayesian layers in a small form on tensor cores, against float64: what mutations.mjs breaks.
// Quick to compile and to run: one form, one precision, a few shapes, the depth in one part and in two. Prints the
// first failure of each check: "forward: ...", "data: ...", "weights: ...".
#include <stdio.h>
#include "reference.h"
using namespace bayes::cuda;
using namespace reference;

namespace {
typedef Mma<Tf32, 32, 16, 16, 16, 8, 3> Form;
constexpr float SLOPE = 0.3f;

struct Layer {
  Shape s;
  Geometry g;
  int parts;
  Floats x, x2, mu, s2, b1, b2, dy, r, y, z1, z2;  // z1: dL/dz, z2: dL/dz r
  static Geometry geometryOf(const Shape& s) {
    Geometry g;
    g.n = s.n, g.h = s.h, g.w = s.w, g.c = s.c, g.ho = s.ho(), g.wo = s.wo(), g.k = s.k, g.kh = s.kh, g.kw = s.kw;
    g.sh = s.sh, g.sw = s.sw, g.top = s.top, g.left = s.left, g.dh = s.dh, g.dw = s.dw, g.groups = s.groups;
    g.cg = s.c / s.groups, g.kg = s.k / s.groups;
    return g;
  }
  Layer(const Shape& shape, int cut) : s(shape), g(geometryOf(shape)), parts(cut) {
    Random random;
    x = random.many(s.image()), mu = random.many(s.weights()), s2 = random.many(s.weights(), 0.1f, 0.15f);
    b1 = random.many(s.k), b2 = random.many(s.k, 0.1f, 0.2f), dy = random.many(s.map()), r = random.many(s.map());
    y = random.many(s.map());
    for (float v : x) x2.push_back(v * v);
    for (size_t i = 0; i < y.size(); i++)
      z1.push_back(y[i] > 0 ? dy[i] : SLOPE * dy[i]), z2.push_back(z1.back() * r[i]);
  }
  Activate leaky() const {
    Activate f;
    f.kind = LEAKY, f.slope = SLOPE;
    return f;
  }
  BlockGrid grid(long rows, long columns, long depth) const {
    BlockGrid of = gridOf<Form>(rows, columns, depth, s.groups, false);
    of.parts = parts, of.stagesAPart = toInt(ceilDiv(of.stagesAPart, parts));
    return of;
  }
  Partial partial(const OnDevice<float>& memory, long rows, long channels) const {
    if (parts == 1) return Partial();
    return {memory.p, parts, toInt(rows), toInt(roundUp(channels, 4))};
  }
};

template <Kind A, Layout BL, class E>
void runProduct(const Layer& l, ProductShape shape, long channels, const E& epilogue) {
  const OnDevice<float> memory(2 * l.parts * shape.rows * roundUp(channels, 4));
  const Card card{132, 227 * 1024, 9, 0};
  emu::Stream stream;
  shape.grid = l.grid(shape.rows, shape.columns, shape.depth), shape.partial = l.partial(memory, shape.rows, channels);
  launch(productKernel<Form, A, BL, E>, dim3(static_cast<unsigned>(shape.grid.blocks())), dim3(Form::THREADS),
         ProductMemory<Form, A, BL>::bytes(shape.operands.tiles()), &stream, shape, epilogue);
  addUp<2, 1>({&stream, card, nullptr}, shape.partial, channels, epilogue);
}
void expect(const OnDevice<float>& got, const Doubles& want, const char* what) {
  const double error = errorOf(got.p, want);
  if (error > 1e-5) throw std::runtime_error(std::string(what) + " differs by " + std::to_string(error));
}

void forwardPass(const Layer& l) {
  const Shape& s = l.s;
  const int copies = 2;
  const OnDevice<float> x(l.x), mu(l.mu), s2(l.s2), b1(l.b1), b2(l.b2), y(copies * s.map()), r(copies * s.map());
  std::vector<int32_t> rng{11, 22, 33, 4}, rows;
  for (long i = 0; i < s.n; i++) rows.push_back(static_cast<int32_t>(1000 + 3 * i));
  const OnDevice<int32_t> dRng(rng), dRows(rows);
  const LrtEpilogue epilogue{
      y.p,          r.p,      b1.p, b2.p, dRng.p, dRows.p, 5, toInt(s.k), toInt(s.n), copies, Divisor(s.ho() * s.wo()),
      Divisor(s.n), l.leaky()};
  runProduct<SQUARE, BY_DEPTH>(l, toMap(l.g, squared(x.p), pairOf(mu.p, s2.p)), s.k, epilogue);
  Doubles m = forward(s, roundedAll(l.x, TF32), roundedAll(l.mu, TF32));
  Doubles v = forward(s, roundedAll(l.x2, TF32), roundedAll(l.s2, TF32)), wantY, wantR;
  addColumns(m, l.b1), addColumns(v, l.b2);
  for (int q = 0; q < copies; q++)
    for (long i = 0; i < s.map(); i++) {
      const long k = i % s.k, area = s.ho() * s.wo(), pixel = i / s.k % area;
      float z[4];
      normals(z, static_cast<uint32_t>(pixel * ((s.k + 3) / 4) + k / 4), static_cast<uint32_t>(rows[i / s.k / area]),
              33, static_cast<uint32_t>(5 * 65536 + 4 + q), 11, 22);
      wantY.push_back(activated(m[i] + sqrt(v[i]) * z[k % 4], LEAKY, SLOPE)),
          wantR.push_back(z[k % 4] / (2 * sqrt(v[i])));
    }
  expect(y, wantY, "y"), expect(r, wantR, "r");
}
void dataGradient(const Layer& l) {
  const Shape& s = l.s;
  const OnDevice<float> dy(l.dy), r(l.r), y(l.y), x(l.x), mu(l.mu), s2(l.s2), dx(s.image());
  const Operands map{dy.p, r.p, y.p, PAIR, true, l.leaky()};
  runProduct<PAIR, BY_ROW>(l, toImage(l.g, map, pairOf(mu.p, s2.p)), s.c, SquareEpilogue{dx.p, x.p, toInt(s.c)});
  Doubles want = backward(s, roundedAll(l.z1, TF32), roundedAll(l.mu, TF32));
  const Doubles second = backward(s, roundedAll(l.z2, TF32), roundedAll(l.s2, TF32));
  for (size_t i = 0; i < want.size(); i++) want[i] += 2. * l.x[i] * second[i];
  expect(dx, want, "dx");
}
void weightGradient(const Layer& l) {
  const Shape& s = l.s;
  const OnDevice<float> dy(l.dy), r(l.r), y(l.y), x(l.x), d1(s.weights()), d2(s.weights()), db1(s.k), db2(s.k);
  const Operands map{dy.p, r.p, y.p, PAIR, true, l.leaky()};
  WeightShape shape = weightShape(l.g, squared(x.p), map, l.g.taps() * l.g.cg, true);
  const OnDevice<float> memory(2 * l.parts * (shape.rows + 1) * roundUp(s.k, 4));
  const Card card{132, 227 * 1024, 9, 0};
  emu::Stream stream;
  shape.grid = l.grid(shape.rows, shape.columns, shape.pixels), shape.partial = l.partial(memory, shape.rows + 1, s.k);
  const WeightEpilogue epilogue{d1.p, d2.p, db1.p, db2.p, shape.rows, toInt(s.k)};
  launch(weightKernel<Form, SQUARE, PAIR>, dim3(static_cast<unsigned>(shape.grid.blocks())), dim3(Form::THREADS),
         WeightMemory<Form, SQUARE, PAIR>::bytes(1, map.tiles()), &stream, shape, epilogue);
  addUp<2, 8>({&stream, card, nullptr}, shape.partial, s.k, epilogue);
  const Doubles g = roundedAll(l.z1, TF32), h = roundedAll(l.z2, TF32);
  expect(d1, weights(s, roundedAll(l.x, TF32), g), "dw"), expect(d2, weights(s, roundedAll(l.x2, TF32), h), "dsigma2");
  expect(db1, columnSums(g, s.k), "db"), expect(db2, columnSums(h, s.k), "dbSigma2");
}
}  // namespace

int main() {
  const Layer layers[] = {{{"odd", 3, 7, 6, 3, 5, 5, 4, 2, 3, 1, 1, 2, 1, 1, 2}, 2},
                          {{"fours", 2, 5, 6, 8, 20, 3, 3, 1, 2, 1, 1, 1, 1, 1, 1}, 1},
                          {{"groups", 2, 4, 5, 6, 9, 3, 2, 1, 1, 1, 1, 1, 0, 1, 1, 3}, 1}};
  const struct {
    const char* name;
    void (*run)(const Layer&);
  } checks[] = {{"forward", forwardPass}, {"data", dataGradient}, {"weights", weightGradient}};
  int failed = 0;
  for (const auto& check : checks)
    for (const Layer& l : layers) {
      try {
        check.run(l);
      } catch (const std::exception& e) {
        printf("%s: %s (%s)\n", check.name, e.what(), l.s.name), failed++;
        break;
      }
    }
  return failed != 0;
}
