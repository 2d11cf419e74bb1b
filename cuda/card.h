// The graphics cards of this machine: whether one can be used, and what it has.
#pragma once
#include <string>
#include "op.h"

namespace bayes {
namespace cuda {

int deviceCount();  // 0 where there is none that could be asked
// Empty: it can be used, and `name` says what it is. Else why it cannot.
std::string whyNot(int device, std::string& name);
const Card& cardOf(int device);  // of one that can be used
void use(int device);            // by this thread, from here on

// Throws "what: error" of the runtime, or what the card has to say about memory.
void* allocate(int device, int64_t bytes);
void release(void* p);

}  // namespace cuda
}  // namespace bayes
