/*
 * random_source.c: weights out of a hash, for measuring shapes without a checkpoint. A value is a
 * function of seed, tensor, layer, row and column alone: the rows may be asked for in any pieces
 * and order. Fast enough that a 7B model is made in tens of seconds.
 */
#include "dtype.h"
#include "checkpoint/source_ops.h"

#define STANDARD_DEVIATION 0.02f

struct random_source {
    struct ppi_source base;
    uint64_t seed;
};

/* A bijection of 64-bit words in which every input bit reaches every output bit (the finalizer of
 * SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014). */
static inline uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static uint64_t row_key(uint64_t seed, enum ppi_tensor tensor, int32_t layer, int64_t row)
{
    uint64_t place = ppi_tensor_in_layer(tensor) ? (uint64_t)layer + 1 : 0;
    uint64_t key = mix(mix(seed) + place * PPI_N_TENSORS + (uint64_t)tensor + 1);
    return mix(key ^ (uint64_t)row);
}

/* About normal: four uniform 16-bit numbers out of one hash, added. Exact up to the last
 * multiplication, so the same on every machine. */
static inline float value_at(uint64_t key, int64_t column)
{
    /* a uniform number of 16 bits has the standard deviation 2^16 / sqrt(12); four have twice */
    const float scale = STANDARD_DEVIATION * 3.4641016151f / (2 * 65536.0f);
    uint64_t h = mix(key + (uint64_t)column * 0x9e3779b97f4a7c15u);
    uint64_t pairs = (h & 0x0000ffff0000ffffu) + (h >> 16 & 0x0000ffff0000ffffu);
    int32_t sum = (int32_t)(uint32_t)pairs + (int32_t)(pairs >> 32);
    return (float)(sum - 2 * 65535) * scale;
}

/* As ppi_f32_to_bf16 for values that are never NaN: no branch in the inner loop. */
static inline uint16_t narrow_to_bf16(float value)
{
    uint32_t bits = ppi_f32_bits(value);
    return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

static void fill_row(uint64_t key, int64_t n_cols, int32_t dtype, void *dst)
{
    float *f32 = dst;
    uint16_t *u16 = dst;
    if (dtype == PP_DTYPE_BF16)
        for (int64_t i = 0; i < n_cols; i++)
            u16[i] = narrow_to_bf16(value_at(key, i));
    else if (dtype == PP_DTYPE_F16)
        for (int64_t i = 0; i < n_cols; i++)
            u16[i] = ppi_f32_to_f16(value_at(key, i));
    else
        for (int64_t i = 0; i < n_cols; i++)
            f32[i] = value_at(key, i);
}

static void fill_ones(int64_t n_cols, int32_t dtype, void *dst)
{
    float *f32 = dst;
    uint16_t *u16 = dst, one = dtype == PP_DTYPE_F16 ? 0x3c00 : 0x3f80;
    for (int64_t i = 0; i < n_cols; i++)
        if (dtype == PP_DTYPE_F32)
            f32[i] = 1.0f;
        else
            u16[i] = one;
}

static int32_t random_dtype(const struct ppi_source *source, enum ppi_tensor tensor, int32_t layer)
{
    (void)tensor;
    (void)layer;
    return source->config.dtype;
}

static pp_status random_read(const struct ppi_source *source, enum ppi_tensor tensor, int32_t layer,
                             int64_t first_row, int64_t n_rows, void *dst, pp_error *err)
{
    const struct random_source *random = (const struct random_source *)source;
    int32_t dtype = source->config.dtype;
    int64_t rows, cols;
    (void)err;
    ppi_tensor_shape(&source->config, tensor, &rows, &cols);
    size_t row_bytes = (size_t)cols * pp_dtype_size(dtype);
    for (int64_t i = 0; i < n_rows; i++) {
        void *row = (char *)dst + (size_t)i * row_bytes;
        if (ppi_tensor_is_norm(tensor))
            fill_ones(cols, dtype, row);
        else
            fill_row(row_key(random->seed, tensor, layer, first_row + i), cols, dtype, row);
    }
    return PP_OK;
}

static void random_close(struct ppi_source *source)
{
    ppi_free(source->mem, source);
}

static const struct ppi_source_ops random_ops = {
    .dtype = random_dtype, .read = random_read, .close = random_close};

pp_status ppi_source_open_random(const pp_model_config *config, uint64_t seed, struct ppi_mem *mem,
                                 struct ppi_source **source, pp_error *err)
{
    PP_TRY(ppi_config_check(config, err));
    struct random_source *random = ppi_alloc(mem, 1, sizeof *random);
    if (!random)
        return ppi_error_nomem(err, "a source of random weights", sizeof *random);
    random->base = (struct ppi_source){&random_ops, mem, *config};
    random->seed = seed;
    *source = &random->base;
    return PP_OK;
}
