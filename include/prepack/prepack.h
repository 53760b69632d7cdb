/*
 * prepack/prepack.h: all of libprepack: packing of prompts, padding-free prefill, one KV cache per
 * prompt, decoding. Each header opens with its use:
 *
 *   common.h     status, errors, conventions
 *
 *   packer.h     lengths -> bins                 bins.h       what a plan says
 *   cost.h       what a forward pass costs       partition.h  a plan over several workers
 *   queue.h      a queue of prompts -> steps     exchange.h   plans as JSON
 *   batch.h      arrays for a host's own engine  attention.h  attention on a host's own tensors
 *
 *   model.h      checkpoints and shapes          session.h    a model on a device
 *   run.h        tokens through a model          outputs.h    what may come of them
 *   kvcache.h    one prompt's KV cache           continuations.h  how likely texts go on
 *   kvcache_save.h  saved and loaded             kvcache_blocks.h  on the host's memory
 *   kvcache_llamacpp.h  to and from llama.cpp
 *   device.h     which devices there are         measure.h    how fast each operation is
 *   cost_measure.h  cost.h, measured
 */
#ifndef PREPACK_H
#define PREPACK_H

#include "attention.h"
#include "batch.h"
#include "bins.h"
#include "common.h"
#include "continuations.h"
#include "cost.h"
#include "cost_measure.h"
#include "device.h"
#include "exchange.h"
#include "kvcache.h"
#include "kvcache_blocks.h"
#include "kvcache_llamacpp.h"
#include "kvcache_save.h"
#include "measure.h"
#include "model.h"
#include "outputs.h"
#include "packer.h"
#include "partition.h"
#include "queue.h"
#include "run.h"
#include "session.h"
#include <prepack/version.h>

#endif
