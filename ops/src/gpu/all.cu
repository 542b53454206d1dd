// Every kernel in one module, compiled once for each type of activations.
#include "common.cuh"

#include "kernel.cu"
#include "../layer_norm/kernel.cu"
#include "../gelu/kernel.cu"
#include "../dropout/kernel.cu"
#include "../softmax/kernel.cu"
#include "../attention/kernel.cu"
#include "../cross_entropy/kernel.cu"
#include "../embedding/kernel.cu"
#include "../optim/kernel.cu"
