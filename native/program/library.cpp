#include "library.h"
#if !defined(_WIN32)
#include <dlfcn.h>
#endif

namespace bayes {

const BayesBackend* openLibrary(const std::string& path, std::string& why) {
#if defined(_WIN32)
  why = "a system where no library of a device is opened";
  return nullptr;
#else
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (!library) {
    const char* reason = dlerror();
    why = std::string("one that does not load (") + (reason ? reason : "no reason given") + ")";
    return nullptr;
  }
  const auto of = reinterpret_cast<BayesBackendOf>(dlsym(library, "bayescnnBackend"));
  const BayesBackend* table = of ? of() : nullptr;
  if (table && table->abi == BAYES_ABI) return table;
  if (!of) why = "one that exports no bayescnnBackend";
  else if (!table) why = "one that gives no table";
  else
    why = "one built for ABI " + std::to_string(table->abi) + ", where this bayescnn has " + std::to_string(BAYES_ABI);
  return nullptr;
#endif
}

}  // namespace bayes
