// One process-wide pool, deliberately leaked: worker threads of Node and the main thread share it. Fork and join spin
// for a few tens of microseconds before they sleep, since a LeNet step has dozens of forks of about as long.
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include "pool.h"

namespace bayes {
namespace {

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

constexpr int MOST_THREADS = 64;

thread_local int pinned = 0;
thread_local bool alone = false;

// A run of neighbouring tasks. Each thread begins with its own, so that it reads memory in order, and finds in its
// core's cache what it wrote there in the region before; then it helps the others.
struct alignas(64) Share {
  std::atomic<long> next{0};
  long end = 0;
};

struct Pool {
  std::atomic<bool> busy{false};  // one region at a time; a second caller works alone (the result is the same)
  std::mutex mutex;
  std::condition_variable wake;
  // The region: its number, how many workers are invited, how many are inside. One word, so no worker enters a region
  // that is over: whoever comes when the tasks are gone (asleep, or the core is another's) is not waited for.
  static constexpr uint64_t NUMBER = 1 << 16, INVITED = 1 << 8, INSIDE = 1;
  std::atomic<uint64_t> gate{0};
  Share shares[MOST_THREADS];
  std::atomic<int> sleepers{0};
  int sharers = 0;
  void (*fn)(void*, long, int) = nullptr;
  void* context = nullptr;
  std::atomic<int> threads{0};  // 0: nobody has said yet
  int started = 0;              // written by the caller that is busy

  void work(int thread) {
    for (int k = 0; k < sharers; k++) {
      Share& share = shares[(thread + k) % sharers];
      for (long t; (t = share.next.fetch_add(1, std::memory_order_relaxed)) < share.end;) fn(context, t, thread);
    }
  }

  static uint64_t numberOf(uint64_t now) { return now / NUMBER; }
  static int invitedTo(uint64_t now) { return static_cast<int>(now % NUMBER / INVITED); }

  // Whether worker `id` is in the region that the gate shows.
  bool enter(int id, uint64_t now) {
    while (id <= invitedTo(now))
      if (gate.compare_exchange_weak(now, now + INSIDE, std::memory_order_acquire)) return true;
    return false;
  }

  void loop(int id) {
    uint64_t seen = 0;
    for (;;) {
      uint64_t now = gate.load(std::memory_order_acquire);
      for (int spin = 0; numberOf(now) == seen && spin < 4000; spin++) {
        relax();
        now = gate.load(std::memory_order_acquire);
      }
      if (numberOf(now) == seen) {
        std::unique_lock<std::mutex> lock(mutex);
        sleepers.fetch_add(1);
        wake.wait(lock, [&] { return numberOf(now = gate.load()) != seen; });
        sleepers.fetch_sub(1);
      }
      seen = numberOf(now);
      if (!enter(id, now)) continue;
      work(id);
      gate.fetch_sub(INSIDE, std::memory_order_release);
    }
  }

  void run(long n, void (*f)(void*, long, int), void* c) {
    int want = poolThreads() - 1;
    if (want > n - 1) want = static_cast<int>(n - 1);
    if (want <= 0 || alone || busy.exchange(true, std::memory_order_acquire)) {
      for (long t = 0; t < n; t++) f(c, t, 0);
      return;
    }
    try {
      for (; started < want; started++) std::thread([this, id = started + 1] { loop(id); }).detach();
    } catch (const std::system_error&) {
      want = started;  // the system has no more threads: those there are do the work
    }
    sharers = want + 1, fn = f, context = c;
    for (int k = 0; k < sharers; k++) {
      shares[k].next.store(n * k / sharers, std::memory_order_relaxed);
      shares[k].end = n * (k + 1) / sharers;
    }
    const uint64_t number = numberOf(gate.load()) + 1;
    gate.store(number * NUMBER + static_cast<uint64_t>(want) * INVITED, std::memory_order_seq_cst);
    if (sleepers.load(std::memory_order_seq_cst)) {
      std::lock_guard<std::mutex> lock(mutex);
      wake.notify_all();
    }
    work(0);
    gate.fetch_and(~(NUMBER - INVITED), std::memory_order_relaxed);  // nobody else comes in
    for (int spin = 0; gate.load(std::memory_order_acquire) % INVITED; spin++)
      if (spin < 20000) relax();
      else std::this_thread::yield();
    busy.store(false, std::memory_order_release);
  }
};

Pool& pool() {
  static Pool* p = new Pool();
  return *p;
}

}  // namespace

void parallelTasks(long tasks, void (*fn)(void*, long, int), void* context) { pool().run(tasks, fn, context); }
int configuredPoolThreads() { return pool().threads.load(); }
int poolThreads() {
  const int n = pinned ? pinned : configuredPoolThreads();
  return n < 1 ? 1 : n;
}
PinnedThreads::PinnedThreads() { pinned = poolThreads(); }
PinnedThreads::~PinnedThreads() { pinned = 0; }
Alone::Alone(bool yes) { alone = yes; }
Alone::~Alone() { alone = false; }
void setPoolThreads(int n) { pool().threads.store(n < 1 ? 1 : n > MOST_THREADS ? MOST_THREADS : n); }

}  // namespace bayes
