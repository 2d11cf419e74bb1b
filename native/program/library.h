// A library of a device, opened at run time.
#pragma once
#include <string>
#include "../shared/backend.h"

namespace bayes {

// The table that the library at `path` exports; it stays loaded. Null: `why` says what is wrong, as what was received.
const BayesBackend* openLibrary(const std::string& path, std::string& why);

}  // namespace bayes
