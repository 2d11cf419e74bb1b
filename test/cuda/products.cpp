// Every layer op of the CUDA device on the emulator against float64, on odd shapes, in three precisions:
//   products [fp32|tf32|bf16]      BAYESCNN_EMULATED_ORDER, BAYESCNN_EMULATED_COPIES: the schedule
// Prints a hash of all results, which no schedule changes.
#include <stdio.h>
#include "reference.h"
#include "cuda/conv/layer.h"
using namespace bayes::cuda;
using namespace reference;

namespace {
const Card card{132, 227 * 1024, 9, 0}, small{46, 99 * 1024, 8, 6};  // small: little shared memory
int failures, runs;
uint64_t hash = 14695981039346656037ull;

struct Call {
  std::vector<Tensor> in, out;
  std::vector<Attr> attrs;
  std::vector<std::vector<double>> values;
  Call() { values.reserve(32); }
  void attr(const char* name, std::vector<double> v) {
    values.push_back(v);
    attrs.push_back({name, static_cast<int>(v.size()), values.back().data()});
  }
  static Tensor tensor(void* data, int dtype, std::vector<long> dims) {
    Tensor t{data, dtype, static_cast<int32_t>(dims.size()), data ? BAYES_ARENA : BAYES_NONE, 0, 0, {}};
    for (size_t i = 0; i < dims.size(); i++) t.dims[i] = dims[i];
    return t;
  }
  std::string run(size_t (*layer)(const Step&, const Card&, const Launch*), const Card& on) {
    Step s{"layer",
           in.data(),
           out.data(),
           static_cast<int>(in.size()),
           static_cast<int>(out.size()),
           static_cast<int>(attrs.size()),
           attrs.data(),
           false,
           nullptr,
           0};
    Stream stream = new emu::Stream;
    const Launch l{stream, on, nullptr};
    const OnDevice<char> scratch(layer(s, on, nullptr) + 4);
    s.scratch = scratch.p;
    try {
      layer(s, on, &l);
    } catch (const std::exception& e) { return e.what(); }
    return "";
  }
};

void expect(const Shape& s, const char* what, const std::string& why, const float* got, const Doubles& want,
            double most) {
  runs++;
  for (size_t i = 0; i < want.size() && why.empty(); i++) {
    uint32_t u;
    memcpy(&u, got + i, 4);
    hash = (hash ^ u) * 1099511628211ull;
  }
  const double error = why.empty() ? errorOf(got, want) : 0;
  if (why.empty() && error <= most) return;
  failures++;
  printf("FAILED %s, %s: %s (error %.1e, at most %.0e)\n", s.name, what, why.c_str(), error, most);
}

struct Case {
  Shape s;
  int bias, activation;
  long samples;
  bool transposed;
};

void check(const Case& c, Precision precision) {
  const Shape& s = c.s;
  const double slope = 0.3, tolerance = 2e-5, gradTolerance = 2e-5;
  Random random;
  Activate activate;
  activate.kind = c.activation, activate.slope = static_cast<float>(slope);
  // x is what the layer reads, y what it writes
  const long sizeX = c.transposed ? s.map() : s.image(), sizeY = c.transposed ? s.image() : s.map();
  const long channels = c.transposed ? s.c : s.k, area = sizeY / s.n / channels;
  const Floats x = random.many(sizeX), mu = random.many(s.weights(), 0.5f), s2 = random.many(s.weights(), 0.1f, 0.15f);
  const Floats b1 = c.bias > 0 ? random.many(channels) : Floats(),
               b2 = c.bias > 1 ? random.many(channels, 0.1f, 0.2f) : Floats();
  Floats x2;
  for (float v : x) x2.push_back(v * v);
  const auto apply = [&](const Floats& a, const Floats& w) {
    const Doubles l = roundedAll(a, precision), r = roundedAll(w, precision);
    return c.transposed ? backward(s, l, r) : forward(s, l, r);
  };
  const auto dimsOf = [&](long n, bool map) {
    return map ? std::vector<long>{n, s.ho(), s.wo(), s.k} : std::vector<long>{n, s.h, s.w, s.c};
  };
  const auto attributes = [&](Call& call) {
    call.attr("stride", {double(s.sh), double(s.sw)}), call.attr("dilation", {double(s.dh), double(s.dw)});
    call.attr("padding", {double(s.top), double(s.left), double(s.bottom), double(s.right)});
    call.attr("groups", {double(s.groups)}), call.attr("bias", {double(c.bias)});
    call.attr("activation", {double(c.activation)}), call.attr("slope", {slope});
    call.attr("samples", {double(c.samples)}), call.attr("stream", {5});
    call.attr("precision", {double(precision)});
  };
  const OnDevice<float> dx(x), dmu(mu), ds2(s2), db1(b1), db2(b2);
  const auto input = [&](const OnDevice<float>& d, std::vector<long> dims) {
    return Call::tensor(d.p, BAYES_F32, dims);
  };
  const std::vector<long> wDims{s.kh, s.kw, s.c / s.groups, s.k};

  // ---- forward: y, r
  const bool bayes = c.samples > 0;
  const long copies = bayes ? c.samples : 1;
  const OnDevice<float> y(copies * sizeY), r(copies * sizeY);
  Call f;
  attributes(f);
  f.in = {input(dx, dimsOf(s.n, c.transposed)), input(dmu, wDims)};
  if (bayes) f.in.push_back(input(ds2, wDims));
  if (c.bias > 0) f.in.push_back(input(db1, {channels}));
  if (bayes && c.bias > 1) f.in.push_back(input(db2, {channels}));
  std::vector<int32_t> rng{11, 22, 33, 4}, rows;
  for (long i = 0; i < s.n; i++) rows.push_back(static_cast<int32_t>(1000 + 3 * i));
  const OnDevice<int32_t> dRng(rng), dRows(rows);
  if (bayes)
    f.in.push_back(Call::tensor(dRng.p, BAYES_I32, {4})), f.in.push_back(Call::tensor(dRows.p, BAYES_I32, {s.n}));
  f.out = {input(y, dimsOf(s.n * copies, !c.transposed))};
  if (bayes) f.out.push_back(input(r, dimsOf(s.n * copies, !c.transposed)));
  const std::string why = f.run(bayes          ? c.transposed ? bayesTransposedForward : bayesForward
                                : c.transposed ? transposedForward
                                               : plainForward,
                                card);
  Doubles mean = apply(x, mu), variance = bayes ? apply(x2, s2) : Doubles();
  addColumns(mean, b1);
  if (bayes) addColumns(variance, b2);
  Doubles wantY, wantR;
  for (long q = 0; q < copies; q++)
    for (long i = 0; i < sizeY; i++) {
      const long k = i % channels, pixel = i / channels % area, image = i / channels / area;
      float z[4] = {};
      if (bayes)
        normals(z, static_cast<uint32_t>(pixel * ((channels + 3) / 4) + k / 4), static_cast<uint32_t>(rows[image]), 33,
                static_cast<uint32_t>(5 * 65536 + 4 + q), 11, 22);
      const double sd = bayes ? sqrt(variance[i]) : 0;
      wantY.push_back(activated(mean[i] + sd * z[k % 4], c.activation, slope)),
          wantR.push_back(bayes ? z[k % 4] / (2 * sd) : 0);
    }
  expect(s, "y", why, y.p, wantY, tolerance);
  if (bayes) expect(s, "r", why, r.p, wantR, tolerance * 5);
  if (!why.empty()) return;

  // ---- gradients, of the y and r that the device has written
  const Floats dy = random.many(copies * sizeY);
  const OnDevice<float> dDy(dy), gx(sizeX), g1(s.weights()), g2(s.weights()), gb1(channels), gb2(channels);
  // in float32, as the device makes them: rounded to fewer bits, they are then the same numbers
  Floats sumG(static_cast<size_t>(sizeY)), sumH(static_cast<size_t>(sizeY));
  for (long i = 0; i < copies * sizeY; i++) {
    const float z = c.activation ? activate.before(dy[i], y.p[i]) : dy[i];
    sumG[i % sizeY] += z, sumH[i % sizeY] += bayes ? z * r.p[i] : 0;
  }
  const Doubles g = roundedAll(sumG, precision), h = roundedAll(sumH, precision);
  const auto back = [&](const Doubles& a, const Floats& w) {
    const Doubles wr = roundedAll(w, precision);
    return c.transposed ? forward(s, a, wr) : backward(s, a, wr);
  };
  const auto ofWeights = [&](const Floats& a, const Doubles& b) {
    const Doubles ar = roundedAll(a, precision);
    return c.transposed ? weights(s, b, ar) : weights(s, ar, b);
  };
  Doubles wantX = back(g, mu);
  if (bayes) {
    const Doubles second = back(h, s2);
    for (size_t i = 0; i < wantX.size(); i++) wantX[i] += 2 * x[i] * second[i];
  }
  for (const Card* on : {&card, &small}) {
    if (on == &small && !(bayes && c.activation)) continue;
    Call b;
    attributes(b);
    b.in = {input(dDy, dimsOf(s.n * copies, !c.transposed))};
    if (bayes) b.in.push_back(input(r, dimsOf(s.n * copies, !c.transposed)));
    b.in.push_back(f.in[0]), b.in.push_back(f.in[1]);
    if (bayes) b.in.push_back(f.in[2]);
    if (c.activation) b.in.push_back(f.out[0]);
    b.out = {input(gx, dimsOf(s.n, c.transposed)), input(g1, wDims)};
    if (bayes) b.out.push_back(input(g2, wDims));
    if (c.bias > 0) b.out.push_back(input(gb1, {channels}));
    if (bayes && c.bias > 1) b.out.push_back(input(gb2, {channels}));
    const std::string bad = b.run(bayes          ? c.transposed ? bayesTransposedBackward : bayesBackward
                                  : c.transposed ? transposedBackward
                                                 : plainBackward,
                                  *on);
    expect(s, "dx", bad, gx.p, wantX, gradTolerance);
    expect(s, "dw", bad, g1.p, ofWeights(x, g), gradTolerance);
    if (bayes) expect(s, "dsigma2", bad, g2.p, ofWeights(x2, h), gradTolerance);
    if (c.bias > 0) expect(s, "db", bad, gb1.p, columnSums(g, channels), gradTolerance);
    if (bayes && c.bias > 1) expect(s, "dbSigma2", bad, gb2.p, columnSums(h, channels), gradTolerance);
  }
}
}  // namespace

int main(int argc, char** argv) {
  const Precision precision = argc > 1 && !strcmp(argv[1], "tf32")   ? TF32
                              : argc > 1 && !strcmp(argv[1], "bf16") ? BF16
                                                                     : FP32;
  const Shape odd{"odd, no fours: C 3 K 5", 3, 9, 7, 3, 5, 5, 4, 2, 3, 1, 1, 2, 1, 1, 2};
  const Shape dilated{"dilation, K 18", 2, 9, 8, 3, 18, 3, 2, 1, 2, 2, 3, 1, 2, 0, 1};
  const Shape groups{"groups of 2 and 3", 2, 5, 5, 6, 9, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 3};
  const Shape fours{"fours: C 8 K 20, stride", 2, 7, 6, 8, 20, 3, 3, 2, 1, 1, 1, 1, 1, 1, 1};
  const Shape pixel{"one pixel", 1, 1, 1, 1, 1, 1, 1};
  const Shape cut{"few results, a long depth", 2, 4, 4, 132, 12, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1};
  const Shape linear{"wide, one pixel an image", 70, 1, 1, 36, 68, 1, 1};
  const Shape many{"many pixels", 8, 12, 12, 4, 4, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1};
  const Case cases[] = {{odd, 2, 2, 2, false},    {odd, 1, 1, 0, false},   {dilated, 0, 0, 1, false},
                        {groups, 2, 1, 1, false}, {groups, 1, 0, 0, true}, {fours, 1, 1, 1, false},
                        {fours, 2, 0, 3, true},   {fours, 1, 2, 0, false}, {pixel, 2, 0, 1, false},
                        {cut, 2, 2, 1, false},    {cut, 1, 0, 0, true},    {linear, 2, 1, 1, false},
                        {many, 2, 0, 1, false},   {odd, 2, 0, 1, true},    {groups, 0, 0, 2, true}};
  for (const Case& c : cases) check(c, precision);
  printf("%d results compared, %d failed, bits %016llx\n", runs, failures, static_cast<unsigned long long>(hash));
  return failures != 0;
}
