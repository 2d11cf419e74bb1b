// The C table a device fills, and the flat program it is given. Nothing is thrown across it: a function that can fail
// returns null or one sentence (valid until the thread's next call). No entry per op: ops travel by name.
#pragma once
#include <cstdint>

extern "C" {

// Of this file: a library with another number is not looked into any further.
#define BAYES_ABI 3
#define BAYES_MAX_RANK 6

enum BayesDtype { BAYES_F32 = 0, BAYES_I32 = 1, BAYES_U8 = 2 };

// Where a tensor's bytes lie. ARENA: the plan's own memory, placed by the planner. STORE: a numbered persistent buffer
// (parameters, moments, constants, a resident data set). FEED and RESULT: the caller's memory, one slice per step.
enum BayesSpace { BAYES_ARENA = 0, BAYES_STORE = 1, BAYES_FEED = 2, BAYES_RESULT = 3, BAYES_NONE = 4 };

typedef struct {
  int32_t dtype, rank, space, index;  // index: number of the store buffer, feed or result
  int64_t offset;                     // bytes into the space
  int64_t dims[BAYES_MAX_RANK];
} BayesRef;

typedef struct {
  const char* name;
  int32_t count;
  const double* values;
} BayesAttr;

typedef struct {
  const char* op;
  int32_t inputCount, outputCount, attrCount;
  int32_t commits;  // 1: writes parameters in place; everything before the first commit leaves no trace
  const BayesRef* inputs;
  const BayesRef* outputs;  // space NONE: nobody reads it, do not compute it
  const BayesAttr* attrs;
} BayesStep;

typedef struct {
  int32_t stepCount, feedCount, resultCount;
  const BayesStep* steps;
  int64_t arenaBytes;
  const int64_t* feedBytes;  // bytes of one step's slice
  const int64_t* resultBytes;
  // How many steps, the first ones, give the same until somebody writes to the store; they and the others write nothing
  // to it. What the others read of them stays in the arena from run to run, so a device need run them but once.
  int32_t frozenSteps;
} BayesProgram;

typedef struct {
  const void* data;
  int64_t stride;  // bytes to the next step's slice; 0: the same for all steps
} BayesFeed;

// What went wrong in a run: step of the run (from 0), index of the program's step (-1: none), and the sentence.
// nonFinite: the step found a NaN or an infinity that another one has made.
typedef struct {
  int32_t runStep, programStep, nonFinite;
  char message[256];
} BayesFault;

// What a kind of device can join, as bits: a layer and the activation behind it, a layer and the max pooling behind it.
enum BayesJoins { BAYES_JOINS_ACTIVATION = 1, BAYES_JOINS_POOLING = 2 };
// Arithmetic of products that it has, as bits.
enum BayesPrecisions { BAYES_FP32 = 1, BAYES_TF32 = 2, BAYES_BF16 = 4 };

typedef struct {
  int32_t joins, precisions;
  int64_t alignment;   // of a tensor in the arena, in bytes
  int64_t launchRows;  // rows of a prediction that one launch takes
} BayesTraits;

typedef struct {
  int32_t abi;                   // BAYES_ABI
  int32_t (*deviceCount)(void);  // 0 where there is none
  // Null: the device can be used, and `name` is it for people ("cuda:0 (NVIDIA H200, sm_90)"). Else why it cannot.
  const char* (*probe)(int32_t device, char* name, int64_t capacity);
  const BayesTraits* (*traits)(int32_t device);
  const char* (*storeCreate)(int32_t device, void** store);
  void (*storeDestroy)(void* store);
  const char* (*storeAlloc)(void* store, int64_t bytes, int32_t* index);  // zeroed
  const char* (*storeFree)(void* store, int32_t index);
  const char* (*storeRead)(void* store, int32_t index, int64_t offset, void* data, int64_t bytes);
  const char* (*storeWrite)(void* store, int32_t index, int64_t offset, const void* data, int64_t bytes);
  const char* (*planCreate)(void* store, const BayesProgram* program, void** plan, int64_t* workspaceBytes);
  const char* (*planRun)(void* plan, int32_t steps, const BayesFeed* feeds, void* const* results, BayesFault* fault);
  // For whoever looks for the op that made a NaN: one step of the program alone, plainly, with the feeds of a run's
  // step; and bytes of an output that it wrote.
  const char* (*planStep)(void* plan, int32_t runStep, const BayesFeed* feeds, void* const* results, int32_t step);
  const char* (*planRead)(void* plan, int32_t step, int32_t output, int64_t offset, void* data, int64_t bytes);
  // how a step is computed, in words; empty where there is but one way
  const char* (*planAlgorithm)(void* plan, int32_t step, char* text, int64_t capacity);
  void (*planStop)(void* plan);  // from any thread: a run under way ends before its next step, with an error
  void (*planDestroy)(void* plan);
} BayesBackend;

// What a library of a device exports under this name (BayesBackendOf bayescnnBackend).
typedef const BayesBackend* (*BayesBackendOf)(void);
}
