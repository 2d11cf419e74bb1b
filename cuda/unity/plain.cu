// The ops that are not products.
#include "../ops/relu.cu"
