// What a step may find wrong while it runs, as the host learns of it: a word on the device, of which the first writer
// wins. Steps that commit read it before they write, so the step at fault and all behind it leave no trace.
#pragma once
#include <stdint.h>

namespace bayes {
namespace cuda {

enum FaultCode {
  NO_FAULT,
  INDEX_OUTSIDE,    // values: the index, the number of examples
  LABEL_OUTSIDE,    // a label outside [0, classes)
  NOT_FINITE,       // checkFinite has found a NaN or an infinity
  RATE_NOT_FINITE,  // a learning rate
  STEP_NOT_FROM_1,  // adam's number of the step
};

struct Fault {
  int32_t code, runStep, programStep, value[2];
  int32_t now;  // step of the run that is under way: the last launch of a step counts it up
};

}  // namespace cuda
}  // namespace bayes
