// A prebuilt addon has to load on older systems than the one that built it: on glibc 2.28, as Node 20 itself does. The
// functions below are in every glibc, but got new versions when they moved into libc.so (threads and dlopen, 2.34) or
// lost an old way of reporting errors (log and pow, 2.29). They are defined here, where nobody outside the addon sees
// them, and call the first version of themselves. test/slow/package.test.ts names what exceeds the floor.
#if defined(__linux__)
#include <features.h>
#endif
#if defined(__GLIBC__) && (defined(__x86_64__) || defined(__aarch64__)) && !defined(__SANITIZE_ADDRESS__)
#include <dlfcn.h>
#include <pthread.h>

#if defined(__x86_64__)
#define FIRST_GLIBC "GLIBC_2.2.5"
#else
#define FIRST_GLIBC "GLIBC_2.17"
#endif
#define FIRST_VERSION(result, name, parameters, arguments)                      \
  __asm__(".symver first_" #name "," #name "@" FIRST_GLIBC "\n.hidden " #name); \
  result first_##name parameters;                                               \
  result name parameters { return first_##name arguments; }

using Start = void* (*)(void*);

extern "C" {
FIRST_VERSION(int, pthread_create, (pthread_t * t, const pthread_attr_t* a, Start f, void* x), (t, a, f, x))
FIRST_VERSION(int, pthread_join, (pthread_t t, void** result), (t, result))
FIRST_VERSION(int, pthread_detach, (pthread_t t), (t))
FIRST_VERSION(void*, dlopen, (const char* path, int flags), (path, flags))
FIRST_VERSION(void*, dlsym, (void* library, const char* name), (library, name))
FIRST_VERSION(char*, dlerror, (), ())
FIRST_VERSION(double, log, (double x), (x))
FIRST_VERSION(double, pow, (double x, double y), (x, y))

// glibc 2.32 has this flag, and the C++ library leaves out atomics while it is set: never here
__attribute__((visibility("hidden"))) char __libc_single_threaded = 0;
}
#endif
