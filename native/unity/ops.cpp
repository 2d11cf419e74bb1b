// Every op but the convolution family, in one unit; the list is made from the file names by scripts/list-ops.mjs.
#include "build/ops.inc"
// The normals of initial parameters
#include "native/cpu/gaussians.cpp"
