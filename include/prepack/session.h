/*
 * prepack/session.h: running a model. A session is one device with its threads or stream, one
 * workspace and one pool of KV pages.
 *
 *     pp_session_create(model, NULL, &session, &err);
 *     pp_run(session, plan, items, n, NULL, &err);              run.h
 *
 * What packing does to the numbers: nothing. Logits and caches of a prompt are bitwise the same
 * alone and packed with others, in any order, capacity, pass size and number of threads, on the
 * same kind of machine and library build (docs/numerics.md).
 */
#ifndef PREPACK_SESSION_H
#define PREPACK_SESSION_H

#include "device.h"
#include "kvcache.h"
#include "model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Thread-safety: one thread at a time, except pp_session_cancel; a second one gets PP_ERR_ARG. So
 * does a child after fork, whose copy has lost its threads; destroying does nothing there. */
typedef struct pp_session pp_session;

/*
 * How a session keeps its weight matrices. AUTO: as stored; a GGUF file's matrices of Q8_0, Q4_0,
 * Q4_1 and Q4_K stay blocks, whose numbers are taken out for each product (the bits are those of
 * F32 or BF16), and a converted model's codes stay codes (pp_model_convert). F32 and BF16: numbers
 * of that dtype. INT8, INT4, NF4: quantised, 8, 4.5 and 4.5 bits a weight, and multiplied by
 * activations that are quantised row by row (docs/numerics.md). A model that was converted to one
 * of them is kept in that alone. Vectors (norms, biases) stay f32. A row's result depends on that
 * row alone in every format.
 */
enum {
    PP_WEIGHTS_AUTO = 0,
    PP_WEIGHTS_F32 = 1,    /* needs dtype F32 */
    PP_WEIGHTS_BF16 = 2,   /* rounds to nearest even what is wider */
    PP_WEIGHTS_INT8 = 3,   /* a scale for each row of a matrix, in rotated blocks of 64 */
    PP_WEIGHTS_INT4 = 4,   /* symmetric, a scale for 32 neighbours of a row; matrices that are
                              stored with 4 bits stay as they are; else embeddings and the LM head
                              are 8 bits wide */
    PP_WEIGHTS_NF4 = 5,    /* the 16 values of QLoRA, a scale for 64; else as INT4 */
    PP_WEIGHTS_INT32 = -1, /* no value: see common.h */
};

/* "auto", "f32", "bf16", "int8", "int4", "nf4"; "unknown" for any other value. */
PP_API const char *pp_weights_name(int32_t weights);

/*
 * A host's own threads. Calls task(arg, i) for i = 0 .. n_tasks - 1, each once, on any threads and
 * in any order, one after another if it must be, and returns when all have returned. n_tasks is at
 * most the session's n_threads.
 */
typedef void (*pp_parallel_for_fn)(void *user, int32_t n_tasks, void (*task)(void *arg, int32_t i),
                                   void *arg);

typedef struct pp_session_params {
    uint32_t struct_size;
    int32_t dtype; /* of products and KV. cpu: PP_DTYPE_F32 or BF16; AUTO: bf16 for bf16 weights,
                      else f32. cuda: BF16 or F16; AUTO: f16 for f16 weights, else bf16 */
    const char *device; /* "cpu", the default; behind it a kernel set by name: "cpu:ref",
                           "cpu:avx2", "cpu:avxvnni", "cpu:avx512", "cpu:avx512vnni",
                           "cpu:avx512bf16", "cpu:avx512amx"; on aarch64 "cpu:neon", "cpu:neondot",
                           "cpu:neonbf16". "cuda", "cuda:1": an NVIDIA GPU; behind it ":own" for
                           products without cuBLASLt, ":mma" for attention by mma.sync where the GPU
                           has kernels of its own */
    int32_t n_threads; /* CPU threads, the caller's included; 0: one for each processor this process
                          may use, by its affinity and its control group's quota; at most 256 */
    int32_t max_pass_tokens; /* most tokens of one forward pass, 64 .. 2^20; 0: the backend's
                                choice. It moves memory and speed, never a bit of a result */
    int64_t memory_limit; /* bytes of the device's memory this session may hold (weights, workspace,
                             KV pages; on the CPU its tables too); 0: nine tenths of what the
                             device has free at creation */
    const pp_allocator *allocator; /* of host memory; NULL: malloc */
    pp_log_fn log;                 /* NULL: silence */
    void *log_user;
    void *stream; /* cuda: the cudaStream_t to enqueue on, which must outlive the session; NULL: a
                     stream of the session's own. cpu: NULL */
    const pp_device_allocator *device_allocator; /* cuda; NULL: cudaMalloc */
    int32_t keep_window_pages; /* 1: layers with a sliding window keep the pages behind it, so that
                                  caches can be truncated to any length; default 0 */
    int32_t weights;           /* PP_WEIGHTS_*; cuda: AUTO alone */
    pp_parallel_for_fn parallel_for; /* cpu: the host's threads in place of the session's own, which
                                        then starts none; NULL: its own. It is called by the thread
                                        that uses the session, and outlives the session */
    void *parallel_user;
    const struct pp_kv_blocks *kv_blocks; /* the host's memory for KV pages (kvcache_blocks.h);
                                             NULL: the session takes pages as it needs them */
} pp_session_params;

PP_API void pp_session_params_init(pp_session_params *params, size_t struct_size);

/*
 * Creates a session. The first session of a model with a given device, dtype and format of weights
 * reads and packs them; later ones share them. The session holds a reference to the model. model
 * NULL: a session for pp_attention_varlen alone. The caller destroys *session. Errors:
 * PP_ERR_NO_BACKEND (the message says what is missing: driver, GPU, module), PP_ERR_ARG,
 * PP_ERR_UNSUPPORTED (a shape or dtype the device's kernels cannot do), PP_ERR_NOMEM and
 * PP_ERR_DEVICE_NOMEM (also when memory_limit is too small for weights and workspace; nothing is
 * loaded then), PP_ERR_DEVICE, PP_ERR_IO (weights could not be read or changed since the model was
 * opened), PP_ERR_STRUCT_SIZE.
 */
PP_API pp_status pp_session_create(pp_model *model, const pp_session_params *params,
                                   pp_session **session, pp_error *err);
/* Caches of the session stay valid; the last of them to go takes the session's memory along. */
PP_API void pp_session_destroy(pp_session *session);

/*
 * Waits until all that the session has enqueued is done. Calls that hand back logits or tokens, and
 * pp_kvcache_read, wait by themselves; a prefill or decode without logits may return while a GPU
 * still computes, which no other call of the session has to care about. cpu: returns at once.
 * Errors: PP_ERR_ARG (NULL), PP_ERR_DEVICE.
 */
PP_API pp_status pp_session_synchronize(pp_session *session, pp_error *err);

/* Gives KV pages that no cache uses back to the device, as far as whole blocks of pages are free;
 * without it they are kept for later caches. Returns the bytes given back; NULL: 0. */
PP_API int64_t pp_session_trim(pp_session *session);

/* Makes the call that is running on the session return PP_ERR_CANCELLED before its next layer; does
 * nothing when none is. Thread-safety: safe from any thread and from a signal handler. */
PP_API void pp_session_cancel(pp_session *session);

/* The model that it runs, alive as long as the session; not a reference. NULL: none. */
PP_API struct pp_model *pp_session_model(const pp_session *session);

typedef struct pp_session_info {
    uint32_t struct_size;
    int32_t dtype; /* of products and KV */
    int32_t n_threads;
    int32_t max_pass_tokens;
    int32_t page_tokens;       /* token slots of a KV page */
    int32_t chunk_tokens;      /* a prompt longer than a pass is cut at multiples of this */
    int32_t n_page_classes;    /* layers that look equally far back and have heads of the same shape
                                  share pages, a class of them */
    int32_t keep_window_pages; /* as in pp_session_params */
    int64_t page_bytes;        /* of a page of every class: what page_tokens tokens take at most */
    int64_t class_page_bytes[4]; /* of a page of each class */
    int32_t class_windows[4];    /* keys that a token sees in the layers of each class; 0: all */
    char device[32];             /* "cpu:avx512bf16" */
    int64_t weight_bytes;        /* shared by sessions of the same model, device and dtype */
    int64_t workspace_bytes;
    int64_t kv_bytes;          /* pages and states in use by caches */
    int64_t kv_pool_bytes;     /* those held, in use or free */
    int64_t memory_bytes;      /* of the device, held by this session now, weights included */
    int64_t peak_memory_bytes; /* the most held so far, weights included */
    int64_t tokens_computed;   /* tokens that went through the model so far */
    int64_t passes;            /* forward passes so far */
    int64_t host_bytes;        /* host memory beside it; 0 on the CPU, where all is host memory */
    char device_name[64];      /* "NVIDIA H200"; empty on the CPU */
    char attention[32];        /* the attention kernel: "avx512bf16", "mma.sync", "wgmma" */
    char pci_address[16];      /* of the GPU, "0000:3b:00.0"; empty where there is none */
    int32_t weights; /* PP_WEIGHTS_*: the format of the matrices; AUTO: the blocks of a GGUF file,
                        or formats that differ */
    int64_t
        state_bytes; /* of the states of all linear layers of a prompt, of which a cache has up to
                        two and a run takes one more for each item; none for one whose cache is
                        discarded and that one pass takes whole; 0: there are no such layers */
} pp_session_info;

/* Fills *info; the caller sets info->struct_size. Errors: PP_ERR_STRUCT_SIZE. */
PP_API pp_status pp_session_get_info(const pp_session *session, pp_session_info *info,
                                     pp_error *err);

/*
 * What a session with these params would hold right after its creation, without reading a weight:
 * fills *info as pp_session_get_info would. On top come KV pages (pp_run_predict), at most
 * page_bytes for every page_tokens tokens of a prompt, states of linear layers, and rotary angles,
 * 4 rotary_dim bytes of each kind of rotation for each position up to the longest prompt so far (at
 * least 1024, or all that the model has). On cuda the creation itself holds up to 256 MiB beside
 * the weights for a while, before the workspace is taken. Needs the device. Errors: as
 * pp_session_create, but no limit is applied.
 */
PP_API pp_status pp_session_estimate(pp_model *model, const pp_session_params *params,
                                     pp_session_info *info, pp_error *err);

#ifdef __cplusplus
}
#endif
#endif
