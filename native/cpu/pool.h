// The pool as its owners see it (ops see op.h): how many threads there are, and how many a run counts on.
#pragma once
#include "op.h"

namespace bayes {
void setPoolThreads(int n);   // for the whole process, from the next run on
int configuredPoolThreads();  // 0: nobody has said yet

// The runs of this thread use as many threads as there are now, whatever setPoolThreads says meanwhile (a worker_thread
// may call it): the scratch memory of a run is laid out for one number.
struct PinnedThreads {
  PinnedThreads();
  ~PinnedThreads();
  PinnedThreads(const PinnedThreads&) = delete;
  PinnedThreads& operator=(const PinnedThreads&) = delete;
};

// While one lives that says so, this thread calls nobody to help: for work that is done sooner than help comes. The
// number of threads that scratch memory is laid out for stays as it is.
struct Alone {
  explicit Alone(bool yes);
  ~Alone();
  Alone(const Alone&) = delete;
  Alone& operator=(const Alone&) = delete;
};
}  // namespace bayes
