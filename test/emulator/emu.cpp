// Fibers, schedules, warp collectives, copies in flight; and the checker behind -fsanitize=thread's calls.
//   BAYESCNN_EMULATED_ORDER=forward|reverse|random:SEED  order of lanes, warps and blocks; turns: one after the other,
//                                                        another one after each synchronisation, copies likewise
//   BAYESCNN_EMULATED_COPIES=late|early                  cp.async lands when it is waited for, or at once
#include "emu.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <mutex>
#include "memory.h"

extern "C" void emu_switch(void** save, void* to);
asm(R"(
.text
.hidden emu_switch
.globl emu_switch
emu_switch:
  push %rbp
  push %rbx
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp, (%rdi)
  mov %rsi, %rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbx
  pop %rbp
  ret
)");

namespace emu {
Counters counters;

namespace {
constexpr int MOST_THREADS = 1024, MOST_SHARED = 227 * 1024, MOST_COPIES = 4096, MOST_GROUPS = 16;
constexpr size_t STACK = 64 * 1024;

enum Order { FORWARD, REVERSE, RANDOM };
struct Options {
  Order order = FORWARD;
  bool late = true, turns = false;
  uint32_t seed = 1;
  Options() {
    const char *o = getenv("BAYESCNN_EMULATED_ORDER"), *c = getenv("BAYESCNN_EMULATED_COPIES");
    if (o && !strcmp(o, "reverse")) order = REVERSE;
    else if (o && !strncmp(o, "random:", 7)) order = RANDOM, seed = static_cast<uint32_t>(atol(o + 7));
    late = !(c && !strcmp(c, "early")), turns = o && !strcmp(o, "turns");
  }
};

struct Copy {
  char* dst;
  const char* src;
  int bytes;
  bool valid;
};
struct Fiber {
  void* sp;
  dim3 tid;
  int index, lane, warp;
  uint32_t barriers;    // that it has passed: its place in time
  uint16_t syncs;       // of its warp
  uint32_t collective;  // number of warp collectives
  uint64_t who;
  int copies, groups;  // copies that are under way, and where their committed groups end
  int groupEnd[MOST_GROUPS];
};
struct Warp {
  uint32_t ready, live, waiting;  // lanes: that can run, that have not ended, that wait at a collective
  int what;                       // the collective
  uint32_t in[2][32][6];          // by parity of the collective: a lane is at most one ahead of another
  float out[2][32][4];
};

// One launch at a time.
std::mutex turn;
Fiber fibers[MOST_THREADS];
Copy copies[MOST_THREADS][MOST_COPIES / 16];
Warp warps[MOST_THREADS / 32];
alignas(128) unsigned char sharedBytes[MOST_SHARED + 128];
Word sharedWords[MOST_SHARED / 4 + 1];
char* stacks;
dim3 grid, size, index;
int threads, live, atBarrier, warpCount;
size_t sharedSize;
uint64_t era = 1, launchEra;  // number of the block, and of the launch's first one
void (*body)(void*);
void* closure;
void* scheduler;
char fault[512];
uint32_t randomState;
Options options;  // of the launch
uint32_t randomNumber() { return randomState = randomState * 1664525u + 1013904223u, randomState >> 8; }

__attribute__((tls_model("initial-exec"))) thread_local Fiber* cur = nullptr;

// Ends the launch.
[[noreturn]] void fail(const char* what) {
  Fiber* const f = cur;
  cur = nullptr;
  snprintf(fault, sizeof fault, "%s (block %u,%u,%u thread %d)", what, index.x, index.y, index.z, f->index);
  void* nowhere;
  emu_switch(&nowhere, scheduler);
  abort();
}
[[noreturn]] void failAt(const char* what, const void* p) {
  Fiber* const f = cur;
  cur = nullptr;
  char where[128], text[300];
  describe(p, where, sizeof where);
  snprintf(text, sizeof text, "%s %s", what, where);
  cur = f;
  fail(text);
}

int pick(uint32_t lanes, int lane) {
  if (options.order == FORWARD) {
    const uint32_t after = lane == 31 ? 0 : lanes & (~0u << (lane + 1));
    return __builtin_ctz(after ? after : lanes);
  }
  if (options.order == REVERSE) {
    const uint32_t before = lanes & ((1u << lane) - 1);
    return 31 - __builtin_clz(before ? before : lanes);
  }
  const uint32_t by = randomNumber() & 31, turned = by ? lanes >> by | lanes << (32 - by) : lanes;
  return static_cast<int>((static_cast<uint32_t>(__builtin_ctz(turned)) + by) & 31);
}
// To another lane of the warp that can run, else to the scheduler.
void yield() {
  Fiber* const f = cur;
  const Warp& w = warps[f->warp];
  if (w.ready) {
    cur = &fibers[f->warp * 32 + pick(w.ready, f->lane)];
    if (cur != f) emu_switch(&f->sp, cur->sp);
  } else {
    cur = nullptr;
    emu_switch(&f->sp, scheduler);
  }
}

void entry() {
  body(closure);
  Fiber* const f = cur;
  if (f->copies)
    fail(f->groups && f->groupEnd[f->groups - 1] == f->copies ? "cp.async never waited for"
                                                              : "cp.async never committed");
  char* const bottom = stacks + static_cast<size_t>(f->index) * STACK;
  for (int i = 0; i < 64; i++)
    if (bottom[i]) memset(bottom, 0, 64), fail("a thread's stack overflows");
  if (atBarrier) fail("a thread ends while others wait at the block's barrier");
  Warp& w = warps[f->warp];
  if (w.waiting) fail("a lane ends while others of its warp wait at a collective");
  w.ready &= ~(1u << f->lane), w.live &= ~(1u << f->lane), live--;
  for (;;) yield();
}

void prepare(Fiber& f) {
  void** sp = reinterpret_cast<void**>(stacks + (static_cast<size_t>(f.index) + 1) * STACK);
  *--sp = nullptr;
  *--sp = reinterpret_cast<void*>(entry);
  for (int i = 0; i < 6; i++) *--sp = nullptr;
  f.sp = sp;
}

// ---- Who touched a word

// Whether what `who` did, then, has no order to what f does now.
inline bool concurrent(uint64_t who, uint32_t barriers, uint16_t syncs, bool shared, const Fiber& f) {
  const uint64_t then = who >> 16;
  if (then < launchEra) return false;
  if (then != era) return !shared;
  if (who == f.who) return false;
  const unsigned warp = who >> 8 & 0xff;
  if (warp & MANY_BLOCKS) return true;
  if (barriers != f.barriers) return false;
  return warp != static_cast<unsigned>(f.warp) || syncs == f.syncs;
}

inline void touch(Word& w, unsigned bytes, bool write, bool shared, const char* p) {
  const Fiber& f = *cur;
  if (__builtin_expect(w.state & FLYING, 0)) {
    if (w.writer >> 16 == era)
      fail(w.writer == f.who ? "shared memory used before its cp.async was waited for"
                             : "shared memory used while another thread's cp.async is under way");
    w.state &= static_cast<uint8_t>(~FLYING);
  }
  const bool wrote = (w.writeBytes & bytes) && concurrent(w.writer, w.writeBarriers, w.writeSyncs, shared, f);
  if (__builtin_expect(wrote, 0)) {
    if (shared)
      fail(write ? "race: two threads write a word of shared memory"
                 : "race: shared memory read that another thread wrote since the last barrier");
    failAt(write ? "race: two threads of a launch write a word of device memory"
                 : "race: device memory read that another thread of the launch wrote,",
           p);
  }
  if (!write) {
    if (__builtin_expect((w.written & bytes) != bytes || (shared && w.writer >> 16 != era), 0)) {
      if (shared) fail("shared memory read that nothing has written");
      failAt("device memory read that nothing has written,", p);
    }
    if (!concurrent(w.reader, w.readBarriers, w.readSyncs, shared, f)) {
      w.reader = f.who, w.readBytes = static_cast<uint8_t>(bytes);
    } else {
      const uint64_t old = w.reader;
      if (old >> 16 != era || (old >> 8 & MANY_BLOCKS)) w.reader = era << 16 | MANY_BLOCKS << 8 | MANY;
      else if ((old >> 8 & 0xff) != static_cast<uint64_t>(f.warp)) w.reader = era << 16 | MANY << 8 | MANY;
      else w.reader |= MANY;
      w.readBytes |= static_cast<uint8_t>(bytes);
    }
    w.readBarriers = f.barriers, w.readSyncs = f.syncs;
    return;
  }
  if ((w.readBytes & bytes) && concurrent(w.reader, w.readBarriers, w.readSyncs, shared, f)) {
    if (shared) fail("race: shared memory written that another thread read since the last barrier");
    failAt("race: device memory written that another thread of the launch read,", p);
  }
  if (shared && w.writer >> 16 != era) w.written = 0;
  w.written |= static_cast<uint8_t>(bytes), w.writeBytes = static_cast<uint8_t>(bytes);
  w.writer = f.who, w.writeBarriers = f.barriers, w.writeSyncs = f.syncs;
}

inline void touchShared(size_t at, size_t bytes, bool write) {
  if (__builtin_expect(at + bytes > sharedSize, 0)) fail("access beyond the shared memory");
  if (at % 4 == 0 && bytes % 4 == 0)
    for (size_t i = 0; i < bytes; i += 4) touch(sharedWords[(at + i) / 4], 15, write, true, nullptr);
  else
    for (size_t i = at; i < at + bytes; i++) touch(sharedWords[i / 4], 1u << i % 4, write, true, nullptr);
}
inline void touchGlobal(char* p, size_t bytes, bool write) {
  const Device& d = device();
  const auto in = [&](Word* w) {
    if (__builtin_expect(!(w->state & ALLOCATED), 0)) failAt(write ? "write" : "read", p);
    return w;
  };
  if (reinterpret_cast<uintptr_t>(p) % 4 == 0 && bytes % 4 == 0) {
    Word* w = d.of(p);
    for (size_t i = 0; i < bytes; i += 4, w++) touch(*in(w), 15, write, false, p + i);
  } else {
    // the last word of a buffer may have bytes that are not its own
    if (!(d.of(p + bytes - 1)[1].state & ALLOCATED) && !owns(p, bytes)) failAt(write ? "write" : "read", p);
    for (size_t i = 0; i < bytes; i++)
      touch(*in(d.of(p + i)), 1u << reinterpret_cast<uintptr_t>(p + i) % 4, write, false, p + i);
  }
}

// All live lanes of the warp arrive; the last one computes. Returns the parity of the exchange.
template <class Put, class Compute>
int together(int what, Put put, Compute compute) {
  Fiber& f = *cur;
  Warp& w = warps[f.warp];
  const int parity = f.collective++ & 1;
  if (w.waiting && w.what != what) fail("lanes of a warp are at different collectives");
  if (w.live != (threads - f.warp * 32 >= 32 ? ~0u : (1u << (threads - f.warp * 32)) - 1))
    fail("a lane of the warp has ended before a collective");
  w.what = what;
  put(w, parity, f.lane);
  w.waiting |= 1u << f.lane, w.ready &= ~(1u << f.lane);
  if (w.waiting == w.live) {
    compute(w, parity);
    w.ready |= w.waiting, w.waiting = 0;
  } else yield();
  return parity;
}

extern "C" char __ehdr_start __attribute__((visibility("hidden"))), _end __attribute__((visibility("hidden")));

inline void touched(void* p, size_t bytes, bool write) {
  if (!cur) return;
  char* const c = static_cast<char*>(p);
  if (static_cast<size_t>(c - stacks) < MOST_THREADS * STACK) return;
  const size_t at = static_cast<size_t>(reinterpret_cast<unsigned char*>(c) - sharedBytes);
  if (at < sizeof sharedBytes) return touchShared(at, bytes, write);
  if (device().has(c)) return touchGlobal(c, bytes, write);
  if (c >= &__ehdr_start && c < &_end && !write) return;  // a table of constants
  fail(write ? "write to the host's memory" : "read of the host's memory");
}

const char* runLocked(dim3 g, dim3 b, size_t shared, void (*f)(void*), void* c) {
  const int64_t n = static_cast<int64_t>(b.x) * b.y * b.z;
  if (!g.x || !g.y || !g.z || g.x > 0x7fffffffu || g.y > 65535 || g.z > 65535) return "a grid that is out of range";
  if (n < 1 || n > MOST_THREADS || b.z > 64) return "a block that is out of range";
  if (shared > MOST_SHARED) return "more shared memory than a block can have";
  if (!stacks) {
    void* p =
        mmap(nullptr, MOST_THREADS * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return "no memory for the emulator's stacks";
    stacks = static_cast<char*>(p);
  }
  grid = g, size = b, sharedSize = shared, body = f, closure = c;
  threads = static_cast<int>(n), warpCount = (threads + 31) / 32;
  launchEra = era, fault[0] = 0, counters.launches++;
  Options& o = options;
  if (o.turns) o.order = static_cast<Order>(counters.synchronisations % 3), o.late = counters.synchronisations % 2;
  randomState = o.seed + static_cast<uint32_t>(counters.launches) * 2654435761u;
  const uint64_t blocks = static_cast<uint64_t>(g.x) * g.y * g.z;
  uint64_t start = 0, stride = 1;
  if (o.order == RANDOM && blocks > 2) {
    const auto divides = [&](uint64_t s) {
      uint64_t x = s, y = blocks;
      while (y) x %= y, std::swap(x, y);
      return x == 1;
    };
    start = randomNumber() % blocks, stride = randomNumber() % blocks;
    while (!divides(stride)) stride = (stride + 1) % blocks;
  }
  for (uint64_t i = 0; i < blocks && !fault[0]; i++, era++) {
    const uint64_t k = o.order == REVERSE ? blocks - 1 - i : (start + i * stride) % blocks;
    index = {static_cast<unsigned>(k % g.x), static_cast<unsigned>(k / g.x % g.y),
             static_cast<unsigned>(k / g.x / g.y)};
    live = threads, atBarrier = 0;
    for (int w = 0; w < warpCount; w++) {
      const int lanes = threads - w * 32;
      warps[w].ready = warps[w].live = lanes >= 32 ? ~0u : (1u << lanes) - 1, warps[w].waiting = 0;
    }
    for (int t = 0; t < threads; t++) {
      Fiber& x = fibers[t];
      const unsigned u = static_cast<unsigned>(t);
      x.tid = {u % b.x, u / b.x % b.y, u / (b.x * b.y)};
      x.index = t, x.lane = t & 31, x.warp = t >> 5, x.barriers = x.collective = 0, x.syncs = 0,
      x.copies = x.groups = 0;
      x.who = era << 16 | static_cast<uint64_t>(x.warp) << 8 | static_cast<uint64_t>(x.lane);
      prepare(x);
    }
    while (live && !fault[0]) {
      bool ran = false;
      const int turned = o.order == RANDOM ? static_cast<int>(randomNumber() % static_cast<uint32_t>(warpCount)) : 0;
      for (int v = 0; v < warpCount && !fault[0]; v++) {
        const int w = o.order == REVERSE ? warpCount - 1 - v : (v + turned) % warpCount;
        while (warps[w].ready && !fault[0]) {  // a warp runs as far as it can
          ran = true;
          cur = &fibers[w * 32 + pick(warps[w].ready, o.order == REVERSE ? 0 : 31)];
          emu_switch(&scheduler, cur->sp);
        }
      }
      if (!ran && !fault[0])
        snprintf(fault, sizeof fault, "deadlock: threads wait at different barriers (block %u,%u,%u)", index.x, index.y,
                 index.z);
    }
  }
  return fault[0] ? fault : nullptr;
}

void land(const Copy& c) {
  if (c.valid) memcpy(c.dst, c.src, static_cast<size_t>(c.bytes));
  else memset(c.dst, 0, static_cast<size_t>(c.bytes));
}
}  // namespace

dim3 thread() { return cur->tid; }
dim3 block() { return index; }
dim3 blockSize() { return size; }
dim3 gridSize() { return grid; }
unsigned char* sharedMemory() { return sharedBytes; }

const char* run(dim3 g, dim3 b, size_t shared, void (*f)(void*), void* c) {
  const std::lock_guard<std::mutex> hold(turn);
  static thread_local char said[sizeof fault];
  const char* why = runLocked(g, b, shared, f, c);
  if (!why) return nullptr;
  snprintf(said, sizeof said, "%s", why);
  return said;
}

void barrier() {
  Fiber& f = *cur;
  f.barriers++;
  if (live != threads) fail("a thread has ended before the block's barrier");
  if (++atBarrier == threads) {
    atBarrier = 0;
    for (int w = 0; w < warpCount; w++) warps[w].ready = warps[w].live;
    return;
  }
  warps[f.warp].ready &= ~(1u << f.lane);
  yield();
}
void warpBarrier() {
  together(
      1, [](Warp&, int, int) {}, [](Warp&, int) {});
  cur->syncs++;
}
uint32_t exchange(uint32_t v, int mask) {
  const int parity = together(
      2, [v](Warp& w, int p, int lane) { w.in[p][lane][0] = v; }, [](Warp&, int) {});
  return warps[cur->warp].in[parity][cur->lane ^ mask][0];
}

void copyAsync(void* dst, const void* src, int bytes, bool valid) {
  Fiber& f = *cur;
  if (reinterpret_cast<uintptr_t>(dst) % static_cast<uintptr_t>(bytes) ||
      (valid && reinterpret_cast<uintptr_t>(src) % static_cast<uintptr_t>(bytes)))
    fail("cp.async at an address that is no multiple of its size");
  const size_t at = static_cast<size_t>(static_cast<unsigned char*>(dst) - sharedBytes);
  if (at >= sharedSize) fail("cp.async beyond the shared memory");
  const Copy c{static_cast<char*>(dst), static_cast<const char*>(src), bytes, valid};
  if (valid) {
    if (!device().has(src)) fail("cp.async from memory that is not the device's");
    touchGlobal(const_cast<char*>(c.src), static_cast<size_t>(bytes), false);
  }
  touchShared(at, static_cast<size_t>(bytes), true);
  for (int i = 0; i < bytes / 4; i++) sharedWords[at / 4 + static_cast<size_t>(i)].state |= FLYING;
  if (!options.late) land(c);
  if (f.copies == MOST_COPIES / 16) fail("more copies under way than the emulator holds");
  copies[f.index][f.copies++] = c;
}
void copyCommit() {
  Fiber& f = *cur;
  if (f.groups == MOST_GROUPS) fail("more groups of copies under way than the emulator holds");
  f.groupEnd[f.groups++] = f.copies;
}
void copyWait(int pending) {
  Fiber& f = *cur;
  const int done = f.groups - pending;
  if (done <= 0) return;
  const int n = f.groupEnd[done - 1];
  Copy* const list = copies[f.index];
  for (int k = 0; k < n; k++) {
    if (options.late) land(list[k]);
    const size_t at = static_cast<size_t>(reinterpret_cast<unsigned char*>(list[k].dst) - sharedBytes);
    for (int i = 0; i < list[k].bytes / 4; i++) {
      Word& w = sharedWords[at / 4 + static_cast<size_t>(i)];
      w.state &= static_cast<uint8_t>(~FLYING);
      w.writer = f.who, w.writeBarriers = f.barriers, w.writeSyncs = f.syncs;
    }
  }
  memmove(list, list + n, static_cast<size_t>(f.copies - n) * sizeof(Copy));
  for (int g = done; g < f.groups; g++) f.groupEnd[g - done] = f.groupEnd[g] - n;
  f.copies -= n, f.groups = pending;
}
}  // namespace emu

void load4(float (&v)[4], const float* p) {
  if (reinterpret_cast<uintptr_t>(p) % 16) emu::fail("a load of 16 bytes at an address that is no multiple of it");
  emu::touched(const_cast<float*>(p), 16, false);
  memcpy(v, p, 16);
}
void store4(float* p, const float (&v)[4]) {
  if (reinterpret_cast<uintptr_t>(p) % 16) emu::fail("a store of 16 bytes at an address that is no multiple of it");
  emu::touched(p, 16, true);
  memcpy(p, v, 16);
}

// A warp's product, 16x8 by DEPTH: `put` spreads the words of a lane over A and B.
template <int DEPTH, void (*PUT)(const uint32_t* words, int g, int t, float (*A)[DEPTH], float (*B)[8])>
static void multiply(int what, float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  const auto arrive = [&](emu::Warp& w, int p, int lane) {
    memcpy(w.in[p][lane], a, 16), memcpy(w.in[p][lane] + 4, b, 8);
    memcpy(w.out[p][lane], d, 16);
  };
  const auto compute = [](emu::Warp& w, int p) {
    float A[16][DEPTH], B[DEPTH][8], D[16][8];
    for (int i = 0; i < 32; i++) {
      const int g = i >> 2, t = i & 3;
      PUT(w.in[p][i], g, t, A, B);
      for (int e = 0; e < 4; e++) D[g + 8 * (e / 2)][2 * t + e % 2] = w.out[p][i][e];
    }
    for (int r = 0; r < 16; r++)
      for (int k = 0; k < DEPTH; k++)
        for (int c = 0; c < 8; c++) D[r][c] += A[r][k] * B[k][c];
    for (int i = 0; i < 32; i++)
      for (int e = 0; e < 4; e++) w.out[p][i][e] = D[(i >> 2) + 8 * (e / 2)][2 * (i & 3) + e % 2];
  };
  const int parity = emu::together(what, arrive, compute);
  memcpy(d, emu::warps[emu::cur->warp].out[parity][emu::cur->lane], 16);
}
static float realOf(uint32_t u) { return floatOf(static_cast<int32_t>(u)); }
static void putTf32(const uint32_t* v, int g, int t, float (*A)[8], float (*B)[8]) {
  const auto real = [](uint32_t u) { return realOf(u & 0xffffe000u); };  // the low 13 bits are not read
  A[g][t] = real(v[0]), A[g + 8][t] = real(v[1]), A[g][t + 4] = real(v[2]), A[g + 8][t + 4] = real(v[3]);
  B[t][g] = real(v[4]), B[t + 4][g] = real(v[5]);
}
static void putBf16(const uint32_t* v, int g, int t, float (*A)[16], float (*B)[8]) {
  for (int half = 0; half < 2; half++) {
    const auto real = [&](uint32_t u) { return realOf(half ? u & 0xffff0000u : u << 16); };
    const int k = 2 * t + half;
    A[g][k] = real(v[0]), A[g + 8][k] = real(v[1]), A[g][k + 8] = real(v[2]), A[g + 8][k + 8] = real(v[3]);
    B[k][g] = real(v[4]), B[k + 8][g] = real(v[5]);
  }
}
void mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) { multiply<8, putTf32>(3, d, a, b); }
void mmaBf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) { multiply<16, putBf16>(4, d, a, b); }

// Blocks run at once: of a fault that another one of this launch has raised, a thread sees it or not yet.
static uint64_t raisedBy;  // number of the block
bool stopped(const bayes::cuda::Fault* fault) {
  if (!emu::device().has(fault)) emu::fail("the fault is not in the device's memory");
  if (fault->code == bayes::cuda::NO_FAULT) return false;
  return raisedBy < emu::launchEra || raisedBy == emu::era || emu::options.order != emu::RANDOM ||
         emu::randomNumber() & 1;
}
void raise(bayes::cuda::Fault* fault, int32_t code, int32_t step, int32_t v0, int32_t v1) {
  if (!emu::device().has(fault)) emu::fail("the fault is not in the device's memory");
  if (fault->code != bayes::cuda::NO_FAULT) return;
  *fault = {code, fault->now, step, {v0, v1}, fault->now}, raisedBy = emu::era;
}

// ---- What g++ -fsanitize=thread calls
extern "C" {
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
#define HOOKS(N)                                                        \
  void __tsan_read##N(void* p) { emu::touched(p, N, false); }           \
  void __tsan_write##N(void* p) { emu::touched(p, N, true); }           \
  void __tsan_unaligned_read##N(void* p) { emu::touched(p, N, false); } \
  void __tsan_unaligned_write##N(void* p) { emu::touched(p, N, true); }
HOOKS(1) HOOKS(2) HOOKS(4) HOOKS(8) HOOKS(16) void __tsan_read_range(void* p, size_t n) {
  if (n) emu::touched(p, n, false);
}
void __tsan_write_range(void* p, size_t n) {
  if (n) emu::touched(p, n, true);
}
// static variables of watched code, and std::atomic
char __tsan_atomic8_load(const volatile char* p, int) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }
void __tsan_atomic8_store(volatile char* p, char v, int) { __atomic_store_n(p, v, __ATOMIC_SEQ_CST); }
int __tsan_atomic32_load(const volatile int* p, int) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }
int __tsan_atomic32_fetch_add(volatile int* p, int v, int) { return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST); }
}
