/* device_options.c: the table of the options of devices. */
#include "device_options.h"

#include <prepack/prepack.h>

static const struct choice dtypes[] = {
    {"auto", PP_DTYPE_AUTO,
     "on the CPU bf16 for bf16 weights and f32 for all others, quantised files too; on a GPU f16 "
     "for f16 weights, else bf16"},
    {"f32", PP_DTYPE_F32,
     "cpu only; gives the values of the file, at about half the speed of bf16"},
    {"bf16", PP_DTYPE_BF16, "every device"},
    {"f16", PP_DTYPE_F16, "cuda only"},
    {NULL, 0, NULL}};

static const struct choice weights[] = {
    {"auto", PP_WEIGHTS_AUTO,
     "as stored: blocks of a GGUF file, and of gpt-oss, stay blocks, a converted model's codes "
     "stay codes"},
    {"f32", PP_WEIGHTS_F32, "numbers; for sessions that compute in f32"},
    {"bf16", PP_WEIGHTS_BF16, "numbers, rounded to bf16"},
    {"int8", PP_WEIGHTS_INT8, "8 bits a weight, products of integers"},
    {"int4", PP_WEIGHTS_INT4, "4.5 bits; the embedding and the LM head have 8"},
    {"nf4", PP_WEIGHTS_NF4, "4.5 bits, the levels of QLoRA; else as int4"},
    {NULL, 0, NULL}};

static const char *const devices[] = {
    "cpu",  "cpu:ref",  "cpu:avx2", "cpu:avx512", "cpu:avx512vnni", "cpu:avx512bf16",
    "cuda", "cuda:own", "cuda:mma", NULL};

/* As the paper's programs spell it. */
static const struct choice load_bits[] = {
    {"8", PP_WEIGHTS_INT8, NULL}, {"4", PP_WEIGHTS_INT4, NULL}, {NULL, 0, NULL}};

#define WEIGHTS_RULES(at)                                                                          \
    {.name = "weights",                                                                            \
     .argument = "FORMAT",                                                                         \
     .kind = &option_choice,                                                                       \
     .place = at,                                                                                  \
     .choices = weights,                                                                           \
     .help = "of the weight matrices"},                                                            \
    {                                                                                              \
        .name = "loadbit", .argument = "BITS", .kind = &option_choice, .place = at,                \
        .choices = load_bits, .help = "8: the same as --weights int8; 4: as --weights int4"        \
    }

const struct option_rule weights_rules[] = {WEIGHTS_RULES(0), {.name = NULL}};

#define AT(member) offsetof(struct device_options, member)

const struct option_rule device_rules[] = {
    {.name = "threads",
     .argument = "N",
     .kind = &option_integer,
     .place = AT(threads),
     .low = 1,
     .high = 256,
     .help = "CPU threads (default: every processor this process may "
             "use, by its affinity and its control group's quota)"},
    {.name = "dtype",
     .argument = "T",
     .kind = &option_choice,
     .place = AT(dtype),
     .choices = dtypes,
     .help = "of products and KV caches"},
    WEIGHTS_RULES(AT(weights)),
    {.name = "device",
     .argument = "D",
     .kind = &option_text,
     .place = AT(device),
     .words = devices,
     .help = "cpu; cpu:ref, cpu:avx2, cpu:avx512, cpu:avx512vnni, cpu:avx512bf16 force a set of "
             "kernels; cuda or cuda:N: an NVIDIA GPU, the first or number N; cuda:own or "
             "cuda:N:own: without "
             "cuBLASLt; cuda:mma or cuda:N:mma: attention by mma.sync on every GPU"},
    {.name = "memory-limit",
     .argument = "SIZE",
     .kind = &option_bytes,
     .place = AT(memory_limit),
     .help = "of the device's memory that a session may hold (weights, workspace, KV pages), as "
             "6GB or 512MiB (default: nine tenths of what is free)"},
    {.name = NULL},
};
