// The boundary: three classes for JavaScript, Library (the devices of one kind), Store (numbered persistent buffers)
// and Plan (a compiled program). The only file that knows N-API. TypeScript has validated everything; here a wrong call
// is an error too, never a crash: what JavaScript gives is read once and looked at afterwards, and a program is checked
// before a device sees it (program/steps.h).
//
// A worker_thread may be terminated at any moment. Then every call that needs JavaScript fails, and an exception of
// ours cannot be thrown on: the wrappers drop it (NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS in binding.gyp; without it
// they throw a second one out of a function that must not throw). Node also unloads an addon with the last worker that
// had loaded it, while the pool's threads wait in its code: it is linked so that it stays (-z nodelete).
#include <napi.h>
#include <cmath>
#include <cstring>
#include <deque>
#include <memory>
#include <new>
#include <string>
#include <system_error>
#include <thread>
#include <vector>
#include "shared/backend.h"
#include "program/culprit.h"
#include "program/library.h"
#include "program/steps.h"
#include "cpu/device.h"
#include "cpu/gaussians.h"
#include "cpu/isa.h"
#include "cpu/pool.h"

namespace {

[[noreturn]] void fail(Napi::Env env, const std::string& why) { throw Napi::Error::New(env, why); }
void check(Napi::Env env, const char* error) {
  if (error) fail(env, error);
}

// A number of JavaScript as a whole one; what is beyond 64 bits is held at their ends, which nothing has room for.
int64_t whole(Napi::Value v, const char* what) {
  double number;
  const bool is = napi_get_value_double(v.Env(), v, &number) == napi_ok;
  if (is && number == std::floor(number))
    return number >= 0x1p63 ? INT64_MAX : number <= -0x1p63 ? INT64_MIN : static_cast<int64_t>(number);
  const std::string received = !is ? "something else" : std::isnan(number) ? "NaN" : std::to_string(number);
  fail(v.Env(), std::string("expected ") + what + " as a whole number, received " + received);
}
int32_t whole32(Napi::Value v, const char* what) {
  const int64_t number = whole(v, what);
  if (number < INT32_MIN || number > INT32_MAX)
    fail(v.Env(), std::string("expected ") + what + " of 32 bits, received " + std::to_string(number));
  return static_cast<int32_t>(number);
}

struct Bytes {
  char* data;
  size_t size;
  bool shared;  // with other threads, which may change them at any time
};

Bytes bytesOf(Napi::Value v) {  // of a SharedArrayBuffer too
  void* data = nullptr;
  napi_value buffer = nullptr;
  if (!v.IsTypedArray() || napi_get_typedarray_info(v.Env(), v, nullptr, nullptr, &data, &buffer, nullptr) != napi_ok)
    fail(v.Env(), "expected a typed array");
  return {static_cast<char*>(data), v.As<Napi::TypedArray>().ByteLength(),
          !Napi::Value(v.Env(), buffer).IsArrayBuffer()};
}

// size >= stride * (steps - 1) + each, for any numbers
bool holds(size_t size, int64_t stride, int64_t each, int32_t steps) {
  const int64_t have = static_cast<int64_t>(size) - each;
  return each >= 0 && stride >= 0 && have >= 0 && (stride == 0 || have / stride >= steps - 1);
}

bool aligned(const char* data, int64_t stride, int64_t unit) {
  return reinterpret_cast<uintptr_t>(data) % static_cast<uintptr_t>(unit) == 0 && stride % unit == 0;
}

// Memory that V8 does not see but that its objects hold: told, so that dropped ones are collected before it runs out.
struct ExternalMemory {
  napi_env env;
  int64_t bytes = 0;
  explicit ExternalMemory(napi_env e) : env(e) {}
  ExternalMemory(const ExternalMemory&) = delete;
  ExternalMemory& operator=(const ExternalMemory&) = delete;
  ~ExternalMemory() { add(-bytes); }
  void add(int64_t change) {
    int64_t total;
    if (change && napi_adjust_external_memory(env, change, &total) == napi_ok) bytes += change;
  }
};

// Shared by the JS object and every plan on it, so that closing in any order is safe.
struct StoreHandle {
  const BayesBackend& backend;
  const int32_t device;
  void* store = nullptr;
  bool running = false, closed = false;  // a run of one of its plans is under way; JavaScript has closed it
  std::vector<int64_t> sizes;            // of the buffers by number; 0: none
  ExternalMemory memory;
  StoreHandle(const BayesBackend& b, int32_t number, napi_env env) : backend(b), device(number), memory(env) {}
  ~StoreHandle() {
    if (store) backend.storeDestroy(store);
  }
  void resized(int32_t index, int64_t bytes) {
    if (static_cast<size_t>(index) >= sizes.size()) sizes.resize(static_cast<size_t>(index) + 1);
    memory.add(bytes - sizes[index]);
    sizes[index] = bytes;
  }
};

// The devices of one kind: those of the library at a path, or the CPU's one.
class Library : public Napi::ObjectWrap<Library> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Library",
                       {InstanceAccessor<&Library::count>("count"), InstanceMethod<&Library::probe>("probe")});
  }
  explicit Library(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Library>(info) {  // (path, or none for the CPU)
    std::string why;
    if (info[0].IsUndefined()) table = &bayes::cpuBackend();
    else if (!info[0].IsString()) fail(info.Env(), "expected the path of a library");
    else table = bayes::openLibrary(info[0].As<Napi::String>(), why);
    if (!table) fail(info.Env(), why);
    info.This().As<Napi::Object>().TypeTag(&tag);
  }
  static const BayesBackend& of(Napi::Value v) {
    if (v.IsUndefined()) return bayes::cpuBackend();
    if (!v.IsObject() || !v.As<Napi::Object>().CheckTypeTag(&tag)) fail(v.Env(), "expected a Library");
    return *Unwrap(v.As<Napi::Object>())->table;
  }

 private:
  static constexpr napi_type_tag tag = {0x6261796573636e6e, 0x4c69627261727901};
  const BayesBackend* table = nullptr;

  Napi::Value count(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), table->deviceCount()); }
  Napi::Value probe(
      const Napi::CallbackInfo& info) {  // (index): what the device is and has, or throws why it is no use
    const int32_t index = whole32(info[0], "the number of a device");
    char name[256] = "";
    check(info.Env(), table->probe(index, name, sizeof name));
    const BayesTraits& traits = *table->traits(index);
    auto o = Napi::Object::New(info.Env());
    o.Set("name", name);
    o.Set("joins", traits.joins), o.Set("precisions", traits.precisions);
    o.Set("alignment", static_cast<double>(traits.alignment));
    o.Set("launchRows", static_cast<double>(traits.launchRows));
    return o;
  }
};

class Store : public Napi::ObjectWrap<Store> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Store",
                       {InstanceMethod<&Store::alloc>("alloc"), InstanceMethod<&Store::release>("free"),
                        InstanceMethod<&Store::read>("read"), InstanceMethod<&Store::write>("write"),
                        InstanceMethod<&Store::close>("close"), InstanceAccessor<&Store::busy>("busy")});
  }
  explicit Store(const Napi::CallbackInfo& info)  // (library, or none for the CPU; number of the device, or none for 0)
      : Napi::ObjectWrap<Store>(info) {
    const BayesBackend& backend = Library::of(info[0]);
    const int32_t device = info[1].IsUndefined() ? 0 : whole32(info[1], "the number of a device");
    char name[256];
    check(info.Env(), backend.probe(device, name, sizeof name));
    handle = std::make_shared<StoreHandle>(backend, device, info.Env());
    check(info.Env(), backend.storeCreate(device, &handle->store));
    info.This().As<Napi::Object>().TypeTag(&tag);
  }
  static std::shared_ptr<StoreHandle> of(Napi::Value v) {
    if (!v.IsObject() || !v.As<Napi::Object>().CheckTypeTag(&tag)) fail(v.Env(), "expected a Store");
    return Unwrap(v.As<Napi::Object>())->use(v.Env());
  }

 private:
  static constexpr napi_type_tag tag = {0x6261796573636e6e, 0x53746f7265000001};
  std::shared_ptr<StoreHandle> handle;

  const std::shared_ptr<StoreHandle>& use(Napi::Env env) {
    if (!handle) fail(env, "the store is closed");
    if (handle->running) fail(env, "the store is busy: a run is under way; await it first");
    return handle;
  }

  Napi::Value alloc(const Napi::CallbackInfo& info) {
    auto h = use(info.Env());
    int32_t index = -1;
    const int64_t bytes = whole(info[0], "the bytes of a buffer");
    check(info.Env(), h->backend.storeAlloc(h->store, bytes, &index));
    h->resized(index, bytes);
    return Napi::Number::New(info.Env(), index);
  }
  void release(const Napi::CallbackInfo& info) {
    const int32_t index = bufferOf(info[0]);
    auto h = use(info.Env());
    check(info.Env(), h->backend.storeFree(h->store, index));
    h->resized(index, 0);
  }
  void read(const Napi::CallbackInfo& info) {  // (index, offset, into)
    const Bytes b = bytesOf(info[2]);
    const int32_t index = bufferOf(info[0]);
    const int64_t offset = whole(info[1], "an offset");
    const StoreHandle& h = *use(info.Env());
    check(info.Env(), h.backend.storeRead(h.store, index, offset, b.data, static_cast<int64_t>(b.size)));
  }
  void write(const Napi::CallbackInfo& info) {  // (index, offset, from)
    const Bytes b = bytesOf(info[2]);
    const int32_t index = bufferOf(info[0]);
    const int64_t offset = whole(info[1], "an offset");
    const StoreHandle& h = *use(info.Env());
    check(info.Env(), h.backend.storeWrite(h.store, index, offset, b.data, static_cast<int64_t>(b.size)));
  }
  static int32_t bufferOf(Napi::Value v) {
    const int64_t index = whole(v, "the number of a buffer");
    if (index < 0 || index > INT32_MAX) fail(v.Env(), "store: no buffer " + std::to_string(index));
    return static_cast<int32_t>(index);
  }
  void close(const Napi::CallbackInfo& info) {
    if (!handle) return;
    use(info.Env())->closed = true;
    handle.reset();
  }
  Napi::Value busy(const Napi::CallbackInfo& info) { return Napi::Boolean::New(info.Env(), handle && handle->running); }
};

// The program as JavaScript describes it, copied into C structs that live until planCreate returns. Reading a property
// may run the caller's code, which may change or free anything: every property is read once, nothing is counted in
// advance, and pointers are made when all has been read.
struct ProgramBuilder {
  std::deque<std::string> names;  // a deque, so that pointers into it stay
  std::vector<BayesRef> refs;
  std::vector<BayesAttr> attrs;
  std::deque<std::vector<double>> values;
  std::vector<BayesStep> steps;
  std::vector<int64_t> feeds, results;
  BayesProgram program{};

  explicit ProgramBuilder(Napi::Value v) : env(v.Env()) {
    const Napi::Object p = object(v, "the program");
    eachOf(p.Get("steps"), "the steps", [&](Napi::Value s) { step(s); });
    eachOf(p.Get("feedBytes"), "feedBytes", [&](Napi::Value n) { feeds.push_back(whole(n, "feedBytes")); });
    eachOf(p.Get("resultBytes"), "resultBytes", [&](Napi::Value n) { results.push_back(whole(n, "resultBytes")); });
    program.arenaBytes = whole(p.Get("arenaBytes"), "arenaBytes");
    size_t ref = 0, attr = 0;
    for (BayesStep& s : steps) {
      s.inputs = refs.data() + ref, s.outputs = s.inputs + s.inputCount, s.attrs = attrs.data() + attr;
      ref += static_cast<size_t>(s.inputCount) + static_cast<size_t>(s.outputCount);
      attr += static_cast<size_t>(s.attrCount);
    }
    program.stepCount = count(steps.size()), program.steps = steps.data();
    program.feedCount = count(feeds.size()), program.feedBytes = feeds.data();
    program.resultCount = count(results.size()), program.resultBytes = results.data();
  }

 private:
  Napi::Env env;
  // property names, made once
  const Napi::String op = key("op"), inputs = key("inputs"), outputs = key("outputs"), named = key("attrs"),
                     commits = key("commits"), dtype = key("dtype"), space = key("space"), index = key("index"),
                     offset = key("offset"), shape = key("shape");

  Napi::String key(const char* name) { return Napi::String::New(env, name); }
  Napi::Object object(Napi::Value v, const char* what) {
    if (!v.IsObject()) fail(env, std::string("expected ") + what + " as an object");
    return v.As<Napi::Object>();
  }
  int32_t count(size_t n) {
    if (n > INT32_MAX) fail(env, "plan: expected at most 2^31 - 1 steps, tensors and attributes");
    return static_cast<int32_t>(n);
  }
  // A text without a NUL, which would end it early.
  std::string text(Napi::Value v, const char* what) {
    if (!v.IsString()) fail(env, std::string("expected ") + what + " as a text");
    std::string s = v.As<Napi::String>();
    if (s.find('\0') != std::string::npos) fail(env, std::string("expected ") + what + " without a NUL");
    return s;
  }
  template <class F>
  void eachOf(Napi::Value v, const char* what, F f) {
    if (!v.IsArray()) fail(env, std::string("expected ") + what + " as an array");
    const auto list = v.As<Napi::Array>();
    for (uint32_t i = 0, n = list.Length(); i < n; i++) {
      const Napi::HandleScope scope(env);
      f(list.Get(i));
    }
  }

  void ref(Napi::Value v) {
    const Napi::Object o = object(v, "a tensor");
    BayesRef r{};
    r.dtype = whole32(o.Get(dtype), "a dtype"), r.space = whole32(o.Get(space), "a space");
    r.index = whole32(o.Get(index), "an index"), r.offset = whole(o.Get(offset), "an offset");
    eachOf(o.Get(shape), "a shape", [&](Napi::Value d) {
      if (r.rank == BAYES_MAX_RANK) fail(env, "plan: a tensor has more than 6 dimensions");
      r.dims[r.rank++] = whole(d, "a dimension");
    });
    refs.push_back(r);
  }
  void attr(Napi::String name, Napi::Value v) {
    names.push_back(text(name, "the name of an attribute"));
    values.emplace_back();
    std::vector<double>& to = values.back();
    eachOf(v, "an attribute", [&](Napi::Value n) {
      double number;
      if (napi_get_value_double(env, n, &number) != napi_ok) fail(env, "expected an attribute as an array of numbers");
      to.push_back(number);
    });
    attrs.push_back({names.back().c_str(), count(to.size()), to.data()});
  }
  void step(Napi::Value v) {
    const Napi::Object o = object(v, "a step");
    BayesStep s{};
    names.push_back(text(o.Get(op), "an op"));
    s.op = names.back().c_str();
    const size_t first = refs.size(), firstAttr = attrs.size();
    eachOf(o.Get(inputs), "the inputs of a step", [&](Napi::Value t) { ref(t); });
    s.inputCount = count(refs.size() - first);
    eachOf(o.Get(outputs), "the outputs of a step", [&](Napi::Value t) { ref(t); });
    s.outputCount = count(refs.size() - first - static_cast<size_t>(s.inputCount));
    const Napi::Object all = object(o.Get(named), "the attributes of a step");
    eachOf(all.GetPropertyNames(), "the attributes of a step",
           [&](Napi::Value name) { attr(name.As<Napi::String>(), all.Get(name)); });
    s.attrCount = count(attrs.size() - firstAttr);
    s.commits = o.Get(commits).ToBoolean();
    steps.push_back(s);
  }
};

class Plan : public Napi::ObjectWrap<Plan> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Plan",
                       {InstanceMethod<&Plan::run>("run"), InstanceMethod<&Plan::runAsync>("runAsync"),
                        InstanceMethod<&Plan::close>("close"), InstanceAccessor<&Plan::workspace>("workspaceBytes"),
                        InstanceAccessor<&Plan::howSteps>("algorithms")});
  }
  explicit Plan(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<Plan>(info), memory(info.Env()) {  // (store, program)
    Store::of(info[0]);                                     // before anything else
    ProgramBuilder b(info[1]);
    store = Store::of(info[0]);  // again, for reading may have run code that closed it or started a run
    feedBytes = b.feeds, resultBytes = b.results;
    try {
      bayes::checkProgram(b.program, *store->backend.traits(store->device));
      culprit = std::make_unique<bayes::Culprit>(b.program);
    } catch (const std::exception& e) { fail(info.Env(), e.what()); }
    check(info.Env(), store->backend.planCreate(store->store, &b.program, &plan, &workspaceBytes));
    memory.add(b.program.arenaBytes + workspaceBytes);
    for (int32_t i = 0; i < b.program.stepCount; i++) {
      char text[256] = "";
      store->backend.planAlgorithm(plan, i, text, sizeof text);
      algorithms.emplace_back(text);
    }
    feedUnits.assign(feedBytes.size(), 1), resultUnits.assign(resultBytes.size(), 1);
    for (const BayesRef& r : b.refs)
      if (r.dtype != BAYES_U8 && (r.space == BAYES_FEED || r.space == BAYES_RESULT))
        (r.space == BAYES_FEED ? feedUnits : resultUnits)[static_cast<size_t>(r.index)] = 4;
  }
  ~Plan() override { destroy(); }

 private:
  struct Job {
    int32_t steps = 0;
    std::vector<Napi::Value> results;  // the caller's arrays
    std::vector<BayesFeed> feeds;
    std::vector<void*> into;
    std::vector<std::unique_ptr<char[]>> own;  // memory of the run itself
    BayesFault fault{};
    std::string error;

    char* alloc(int64_t bytes) {
      own.emplace_back(new (std::nothrow) char[static_cast<size_t>(bytes) + 1]);
      return own.back().get();
    }
  };
  struct Call {  // of runAsync
    Plan* plan;
    Job job;
    Napi::Promise::Deferred deferred;
    std::vector<Napi::ObjectReference> keep;  // the result arrays, and the plan last, live until the run is over
  };
  static void finished(Napi::Env env, Napi::Function, std::nullptr_t*, Call* call);
  using Done = Napi::TypedThreadSafeFunction<std::nullptr_t, Call, finished>;
  void* plan = nullptr;
  std::shared_ptr<StoreHandle> store;
  std::unique_ptr<bayes::Culprit> culprit;
  std::vector<int64_t> feedBytes, resultBytes;
  std::vector<int64_t> feedUnits, resultUnits;  // bytes of an element: where each slice has to begin
  int64_t workspaceBytes = 0;
  std::vector<std::string> algorithms;  // of the steps
  ExternalMemory memory;
  std::thread worker;
  bool busy = false;

  // The environment ends (process or worker_thread) while a run is under way: it has to be over before Node takes the
  // thread-safe function away. Node calls the hooks in reverse order, and this one is added after that function's own.
  static void teardown(void* self) {
    Plan* p = static_cast<Plan*>(self);
    p->store->backend.planStop(p->plan);
    if (p->worker.joinable()) p->worker.join();
  }
  void destroy() {
    if (worker.joinable()) worker.join();
    if (plan) store->backend.planDestroy(plan);
    plan = nullptr;
    store.reset();
    memory.add(-memory.bytes);
  }

  int64_t length(size_t feed, int64_t stride, int32_t steps) const { return stride * (steps - 1) + feedBytes[feed]; }

  // (steps, [{data, stride}], [result arrays]). A run off the thread computes in memory of its own: the caller may
  // resize, transfer or change its arrays meanwhile. So does any run whose input other threads may change, since
  // indices are checked before they are used.
  Job read(const Napi::CallbackInfo& info, bool async) {
    Napi::Env env = info.Env();
    const double steps = info[0].As<Napi::Number>().DoubleValue();
    if (!(steps >= 1 && steps <= INT32_MAX)) fail(env, "expected at least one step, and at most 2^31 - 1");
    auto feeds = info[1].As<Napi::Array>(), results = info[2].As<Napi::Array>();
    if (!feeds.IsArray() || !results.IsArray() || feeds.Length() != feedBytes.size() ||
        results.Length() != resultBytes.size())
      fail(env, "wrong number of feeds or results");
    Job job;
    job.steps = static_cast<int32_t>(steps);
    // all that may run JavaScript first: a getter may close the plan, or take the memory of an array away
    std::vector<Napi::Value> data;
    for (size_t i = 0; i < feedBytes.size(); i++) {
      auto o = feeds.Get(static_cast<uint32_t>(i)).As<Napi::Object>();
      data.push_back(o.Get("data"));
      job.feeds.push_back({nullptr, o.Get("stride").As<Napi::Number>().Int64Value()});
    }
    for (size_t i = 0; i < resultBytes.size(); i++) job.results.push_back(results.Get(static_cast<uint32_t>(i)));

    if (!plan) fail(env, "the compiled program is closed");
    if (store->closed) fail(env, "the store is closed");
    if (store->running) fail(env, "the program is busy: a run on this store is under way; await it first");
    for (size_t i = 0; i < data.size(); i++) {
      const Bytes b = bytesOf(data[i]);
      BayesFeed& f = job.feeds[i];
      if (!holds(b.size, f.stride, feedBytes[i], job.steps)) fail(env, "a feed is too short");
      if (!aligned(b.data, f.stride, feedUnits[i])) fail(env, "a feed does not lie on whole elements");
      f.data = b.data;
      if (!async && !b.shared) continue;
      char* copy = job.alloc(length(i, f.stride, job.steps));
      if (!copy) fail(env, "out of memory: for a copy of the input");
      if (b.data) memcpy(copy, b.data, static_cast<size_t>(length(i, f.stride, job.steps)));
      f.data = copy;
    }
    for (size_t i = 0; i < job.results.size(); i++) {
      const Bytes b = bytesOf(job.results[i]);
      if (!holds(b.size, resultBytes[i], resultBytes[i], job.steps)) fail(env, "a result array is too short");
      if (!aligned(b.data, resultBytes[i], resultUnits[i])) fail(env, "a result does not lie on whole elements");
      job.into.push_back(async ? job.alloc(resultBytes[i] * job.steps) : b.data);
      if (!job.into.back() && b.size) fail(env, "out of memory: for the results");
    }
    return job;
  }

  void execute(Job& job) {
    const BayesBackend& device = store->backend;
    const char* error = device.planRun(plan, job.steps, job.feeds.data(), job.into.data(), &job.fault);
    if (!error) return;
    job.error = error;
    if (job.fault.nonFinite)
      job.fault.programStep = culprit->find(device, plan, job.fault, job.feeds.data(), job.into.data());
  }

  static Napi::Error faultError(Napi::Env env, const Job& job) {
    Napi::Error e = Napi::Error::New(env, job.error);
    e.Set("runStep", Napi::Number::New(env, job.fault.runStep));
    e.Set("programStep", Napi::Number::New(env, job.fault.programStep));
    return e;
  }

  void run(const Napi::CallbackInfo& info) {
    Job job = read(info, false);
    store->running = true;
    execute(job);
    store->running = false;
    if (!job.error.empty()) throw faultError(info.Env(), job);
  }

  Napi::Value runAsync(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    Job job = read(info, true);
    if (worker.joinable()) worker.join();  // the thread of the run before: it has ended
    busy = store->running = true;          // from here on: what follows may run code of the caller's
    try {
      std::unique_ptr<Call> call(new Call{this, std::move(job), Napi::Promise::Deferred::New(env), {}});
      for (Napi::Value v : call->job.results) call->keep.push_back(Napi::Persistent(v.As<Napi::Object>()));
      call->keep.push_back(Napi::Persistent(info.This().As<Napi::Object>()));
      call->job.results.clear();  // values live no longer than this call
      Done done = Done::New(env, "bayescnn", 0, 1);
      try {
        worker = std::thread([this, done, c = call.get()]() mutable {
          execute(c->job);
          done.BlockingCall(c);
          done.Release();
        });
      } catch (const std::system_error& e) {
        done.Release();
        fail(env, std::string("no thread for the run: ") + e.what());
      }
      napi_add_env_cleanup_hook(env, teardown, this);
      return call.release()->deferred.Promise();
    } catch (...) {
      busy = store->running = false;
      throw;
    }
  }

  void close(const Napi::CallbackInfo& info) {
    if (busy) fail(info.Env(), "the program is busy: a run is under way; await it first");
    destroy();
  }
  Napi::Value workspace(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), static_cast<double>(workspaceBytes));
  }
  Napi::Value howSteps(const Napi::CallbackInfo& info) {
    auto list = Napi::Array::New(info.Env(), algorithms.size());
    for (uint32_t i = 0; i < algorithms.size(); i++) list.Set(i, Napi::String::New(info.Env(), algorithms[i]));
    return list;
  }
};

// On the JavaScript thread, after a run of runAsync; env is null when the environment ends.
void Plan::finished(Napi::Env env, Napi::Function, std::nullptr_t*, Call* c) {
  const std::unique_ptr<Call> call(c);
  Plan* plan = call->plan;
  plan->busy = plan->store->running = false;
  if (env == nullptr) return;
  napi_remove_env_cleanup_hook(env, teardown, plan);
  try {
    for (size_t i = 0; i < call->job.into.size(); i++) {
      const Bytes b = bytesOf(call->keep[i].Value());
      const int64_t bytes = plan->resultBytes[i] * call->job.steps;
      if (b.size >= static_cast<size_t>(bytes)) memcpy(b.data, call->job.into[i], static_cast<size_t>(bytes));
      else if (call->job.error.empty()) call->job.error = "a result array was taken away during the run";
    }
    if (call->job.error.empty()) call->deferred.Resolve(env.Undefined());
    else call->deferred.Reject(faultError(env, call->job).Value());
  } catch (const Napi::Error&) {  // a worker_thread that is being terminated runs no JavaScript: nobody waits
  }
}

// (out: Float32Array or Float64Array, mean, scale, [row, step, stream, key low, key high])
void fillGaussians(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const double mean = info[1].ToNumber(), scale = info[2].ToNumber();
  if (!info[3].IsTypedArray() || info[3].As<Napi::TypedArray>().TypedArrayType() != napi_uint32_array)
    fail(env, "expected the counter and the key as a Uint32Array");
  const Bytes words = bytesOf(info[3]), out = bytesOf(info[0]);
  uint32_t w[5];
  if (words.size != sizeof w) fail(env, "expected five words of counter and key");
  memcpy(w, words.data, sizeof w);
  const bayes::GaussianFill fill{mean, scale, w[0], w[1], w[2], {w[3], w[4]}};
  const auto size = static_cast<int64_t>(out.size);
  switch (info[0].As<Napi::TypedArray>().TypedArrayType()) {
    case napi_float32_array:
      return bayes::fillGaussians(reinterpret_cast<float*>(out.data), size / 4, fill);
    case napi_float64_array:
      return bayes::fillGaussians(reinterpret_cast<double*>(out.data), size / 8, fill);
    default:
      fail(env, "expected an array of floats");
  }
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("Library", Library::define(env));
  exports.Set("Store", Store::define(env));
  exports.Set("Plan", Plan::define(env));
  exports.Set("fillGaussians", Napi::Function::New(env, fillGaussians));
  exports.Set("isa", Napi::String::New(env, bayes::isaName()));
  exports.Set("setThreads", Napi::Function::New(env, [](const Napi::CallbackInfo& info) {
                bayes::setPoolThreads(info[0].As<Napi::Number>());
              }));
  exports.Set("threads", Napi::Function::New(env, [](const Napi::CallbackInfo& info) -> Napi::Value {
                return Napi::Number::New(info.Env(), bayes::configuredPoolThreads());
              }));
  exports.Set("externalMemory", Napi::Function::New(env, [](const Napi::CallbackInfo& info) -> Napi::Value {
                int64_t total = 0;
                napi_adjust_external_memory(info.Env(), 0, &total);
                return Napi::Number::New(info.Env(), static_cast<double>(total));
              }));
  return exports;
}

}  // namespace

NODE_API_MODULE(NODE_GYP_MODULE_NAME, init)
