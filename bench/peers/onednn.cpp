// One layer workload in oneDNN as a process: bare convolutions of a layer's geometry, without bias, as one thread team
// computes them one after the other. "Two convolutions" is what a Bayesian layer cannot do without: the one of the mean
// and the one of the variance, each with operands of its own. Memory lies as oneDNN likes it best, and no reorder is
// counted.
//   onednn BATCH SIZE CHANNELS FILTERS KERNEL STRIDE PADDING FIRST BACKWARD CONVOLUTIONS
// Says what it is when it is ready, then answers each line on stdin with the times of one turn (see bench/serve.mjs).
// bench/peers.mjs compiles it; OMP_NUM_THREADS says how many threads.
#include <dnnl.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

using dnnl::memory;
using Dims = memory::dims;
using Tag = memory::format_tag;

static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
static dnnl::stream stream(cpu);

static double milliseconds() {
  using namespace std::chrono;
  return duration<double, std::milli>(steady_clock::now().time_since_epoch()).count();
}

struct Geometry {
  long batch, size, channels, filters, kernel, stride, padding;
  long out() const { return (size + 2 * padding - kernel) / stride + 1; }
};

struct Descs {
  memory::desc x, w, y;
};
static Descs descs(const Geometry& g, Tag activations) {
  const auto f32 = memory::data_type::f32;
  return {{Dims{g.batch, g.channels, g.size, g.size}, f32, activations},
          {Dims{g.filters, g.channels, g.kernel, g.kernel}, f32, Tag::any},
          {Dims{g.batch, g.filters, g.out(), g.out()}, f32, activations}};
}

// oneDNN 3 did away with the operation descriptors in between
template <class Op, class... Hint>
static typename Op::primitive_desc describe(const Geometry& g, std::optional<dnnl::prop_kind> kind,
                                            const memory::desc& a, const memory::desc& b, const memory::desc& c,
                                            const Hint&... hint) {
  const Dims stride{g.stride, g.stride}, padding{g.padding, g.padding};
  const auto direct = dnnl::algorithm::convolution_direct;
#if DNNL_VERSION_MAJOR >= 3
  if constexpr (sizeof...(hint) == 0)
    return typename Op::primitive_desc(cpu, *kind, direct, a, b, c, stride, padding, padding);
  else return typename Op::primitive_desc(cpu, direct, a, b, c, stride, padding, padding, hint...);
#else
  if constexpr (sizeof...(hint) == 0)
    return typename Op::primitive_desc(typename Op::desc(*kind, direct, a, b, c, stride, padding, padding), cpu);
  else return typename Op::primitive_desc(typename Op::desc(direct, a, b, c, stride, padding, padding), cpu, hint...);
#endif
}

static memory filled(const memory::desc& desc) {
  static std::minstd_rand random(1);
  memory m(desc, cpu);
  auto* values = static_cast<float*>(m.get_data_handle());
  for (size_t i = 0; i < desc.get_size() / sizeof(float); i++) values[i] = float(random()) / float(random.max()) - 0.5f;
  return m;
}

using Args = std::unordered_map<int, memory>;

// One primitive and as many sets of operands as there are convolutions.
struct Pass {
  dnnl::primitive primitive;
  std::vector<Args> sets;
  std::string layout;

  void run() {
    for (Args& args : sets) primitive.execute(stream, args);
    stream.wait();
  }
};

static Pass forward(const Geometry& g, Tag layout, int convolutions, bool training) {
  const auto kind = training ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference;
  const Descs d = descs(g, layout);
  const auto pd = describe<dnnl::convolution_forward>(g, kind, d.x, d.w, d.y);
  Pass pass{dnnl::convolution_forward(pd), {}, {}};
  for (int i = 0; i < convolutions; i++)
    pass.sets.push_back({{DNNL_ARG_SRC, filled(pd.src_desc())},
                         {DNNL_ARG_WEIGHTS, filled(pd.weights_desc())},
                         {DNNL_ARG_DST, filled(pd.dst_desc())}});
  return pass;
}

static Pass backwardData(const Geometry& g, Tag layout, int convolutions) {
  const Descs d = descs(g, layout);
  const auto hint = describe<dnnl::convolution_forward>(g, dnnl::prop_kind::forward_training, d.x, d.w, d.y);
  const auto pd = describe<dnnl::convolution_backward_data>(g, {}, d.x, d.w, d.y, hint);
  Pass pass{dnnl::convolution_backward_data(pd), {}, {}};
  for (int i = 0; i < convolutions; i++)
    pass.sets.push_back({{DNNL_ARG_DIFF_DST, filled(pd.diff_dst_desc())},
                         {DNNL_ARG_WEIGHTS, filled(pd.weights_desc())},
                         {DNNL_ARG_DIFF_SRC, filled(pd.diff_src_desc())}});
  return pass;
}

static Pass backwardWeights(const Geometry& g, Tag layout, int convolutions) {
  const Descs d = descs(g, layout);
  const auto hint = describe<dnnl::convolution_forward>(g, dnnl::prop_kind::forward_training, d.x, d.w, d.y);
  const auto pd = describe<dnnl::convolution_backward_weights>(g, {}, d.x, d.w, d.y, hint);
  Pass pass{dnnl::convolution_backward_weights(pd), {}, {}};
  for (int i = 0; i < convolutions; i++)
    pass.sets.push_back({{DNNL_ARG_SRC, filled(pd.src_desc())},
                         {DNNL_ARG_DIFF_DST, filled(pd.diff_dst_desc())},
                         {DNNL_ARG_DIFF_WEIGHTS, filled(pd.diff_weights_desc())}});
  return pass;
}

// The faster of the layouts, each by its best of several runs, in turns.
template <class Make>
static Pass fastest(Make make) {
  std::vector<Pass> candidates;
  for (auto [tag, name] : {std::pair{Tag::any, "blocked"}, std::pair{Tag::nhwc, "nhwc"}}) {
    try {
      Pass pass = make(tag);
      pass.layout = name;
      pass.run();
      candidates.push_back(std::move(pass));
    } catch (const dnnl::error&) {
      // this version has no such kernel
    }
  }
  if (candidates.empty()) {
    std::fprintf(stderr, "oneDNN has no kernel for this convolution\n");
    std::exit(1);
  }
  std::vector<double> least(candidates.size(), 1e30);
  for (int i = 0; i < 10; i++)
    for (size_t c = 0; c < candidates.size(); c++) {
      const double start = milliseconds();
      candidates[c].run();
      least[c] = std::min(least[c], milliseconds() - start);
    }
  return std::move(candidates[size_t(std::min_element(least.begin(), least.end()) - least.begin())]);
}

int main(int argc, char** argv) {
  if (argc != 11) {
    std::fprintf(stderr, "expected ten numbers, received %d\n", argc - 1);
    return 1;
  }
  long n[10];
  for (int i = 0; i < 10; i++) n[i] = std::atol(argv[i + 1]);
  const Geometry g{n[0], n[1], n[2], n[3], n[4], n[5], n[6]};
  const bool first = n[7], backward = n[8];
  const int convolutions = int(n[9]);

  std::vector<Pass> passes;
  passes.push_back(fastest([&](Tag tag) { return forward(g, tag, convolutions, backward); }));
  if (backward) {
    passes.push_back(fastest([&](Tag tag) { return backwardWeights(g, tag, convolutions); }));
    if (!first) passes.push_back(fastest([&](Tag tag) { return backwardData(g, tag, convolutions); }));
  }
  const auto once = [&] {
    for (Pass& pass : passes) pass.run();
  };
  for (int i = 0; i < 3; i++) once();

  std::string layouts;
  for (const Pass& pass : passes) layouts += (layouts.empty() ? "" : ", ") + pass.layout;
  const auto* v = dnnl::version();
  std::printf("{\"version\": \"oneDNN %d.%d.%d\", \"layouts\": \"%s\"}\n", v->major, v->minor, v->patch,
              layouts.c_str());
  std::fflush(stdout);

  char line[256];
  double ms;
  while (std::fgets(line, sizeof line, stdin) && std::sscanf(line, "{\"ms\":%lf", &ms) == 1) {
    once();  // the turn before was somebody else's: get the caches back
    std::printf("{\"times\": [");
    for (double spent = 0; spent < ms;) {
      const double start = milliseconds();
      once();
      const double time = milliseconds() - start;
      std::printf("%s%.6f", spent > 0 ? ", " : "", time);
      spent += time;
    }
    std::printf("]}\n");
    std::fflush(stdout);
  }
  return 0;
}
