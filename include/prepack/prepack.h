/*
 * prepack/prepack.h: all of libprepack: packing of prompts, padding-free prefill, one KV cache per
 * prompt, decoding. Each header opens with its use:
 *
 *   common.h   status, errors, conventions        batch.h    arrays for a host's own engine
 *   packer.h   lengths -> bins                    model.h    checkpoints and shapes
 *   session.h  prefill and decode                 kvcache.h  one prompt's KV cache
 *   sample.h   the same, with tokens for logits   attention.h   attention on a host's own tensors
 *   measure.h  how fast each operation is         cost.h     what a forward pass costs
 *   exchange.h  plans as JSON                     stream.h   a queue of prompts -> steps
 *   partition.h  a plan over several workers
 */
#ifndef PREPACK_H
#define PREPACK_H

#include "attention.h"
#include "batch.h"
#include "common.h"
#include "cost.h"
#include "exchange.h"
#include "kvcache.h"
#include "measure.h"
#include "model.h"
#include "packer.h"
#include "partition.h"
#include "sample.h"
#include "session.h"
#include "stream.h"
#include <prepack/version.h>

#endif
