/*
 * random_weights.c: weights out of a hash, for measuring shapes without a checkpoint. A value is a
 * function of seed, tensor, layer, row and column alone: the rows may be asked for in any pieces
 * and order. Fast enough that a 7B model is made in tens of seconds.
 */
#include "model/tensors.h"
#include "dtype.h"

#define STANDARD_DEVIATION 0.02f

/* The number of each kind of tensor in a place: frozen, as the values follow from it. Norms and
 * biases have no values to draw. */
#define N_NUMBERS 12

static uint64_t number_of(const struct ppi_tensor_rule *rule)
{
    switch (rule->weight) {
    case PPI_WEIGHT_QKV: /* 1: the three in one tensor */
        return rule->part == PPI_PART_ALL ? 1 : 2 + (uint64_t)(rule->part - PPI_PART_Q);
    case PPI_WEIGHT_O:
        return 5;
    case PPI_WEIGHT_GATE_UP:
        return rule->part == PPI_PART_ALL ? 6 : 7 + (uint64_t)(rule->part - PPI_PART_GATE);
    case PPI_WEIGHT_DOWN:
        return 9;
    case PPI_WEIGHT_LM_HEAD:
        return 11;
    default:
        return 0; /* the embedding */
    }
}

/* A bijection of 64-bit words in which every input bit reaches every output bit (the finalizer of
 * SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014). */
static inline uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* place: 0 outside layers, else the layer's number from 1. */
static uint64_t row_key(uint64_t seed, uint64_t place, uint64_t number, int64_t row)
{
    return mix(mix(mix(seed) + place * N_NUMBERS + number + 1) ^ (uint64_t)row);
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

static void fill_constant(float value, int64_t n_cols, int32_t dtype, void *dst)
{
    float *f32 = dst;
    uint16_t *u16 = dst;
    uint16_t narrow = dtype == PP_DTYPE_F16 ? ppi_f32_to_f16(value) : ppi_f32_to_bf16(value);
    for (int64_t i = 0; i < n_cols; i++)
        if (dtype == PP_DTYPE_F32)
            f32[i] = value;
        else
            u16[i] = narrow;
}

void ppi_random_read(const struct ppi_tensors *tensors, const struct ppi_model_spec *spec,
                     int32_t i_rule, int32_t layer, int64_t first_row, int64_t n_rows, void *dst)
{
    const struct ppi_tensor_rule *rule = &tensors->rules[i_rule];
    const struct ppi_weight_kind *kind = &ppi_weight_kinds[rule->weight];
    uint64_t place = kind->in_layer ? (uint64_t)layer + 1 : 0;
    bool is_embed = rule->weight == PPI_WEIGHT_LM_HEAD && spec->tie_embeddings;
    uint64_t number = is_embed ? 0 : number_of(rule);
    float norm = kind->plain ? 1 : tensors->random_norm;
    int64_t rows, cols;
    ppi_part_shape(spec, layer, rule->weight, rule->part, &rows, &cols);
    size_t row_bytes = (size_t)cols * pp_dtype_size(tensors->random_dtype);
    for (int64_t i = 0; i < n_rows; i++) {
        void *row = (char *)dst + (size_t)i * row_bytes;
        if (kind->meaning == PPI_MEANS_MATRIX)
            fill_row(row_key(tensors->seed, place, number, first_row + i), cols,
                     tensors->random_dtype, row);
        else
            fill_constant(kind->meaning == PPI_MEANS_NORM ? norm : 0, cols, tensors->random_dtype,
                          row);
    }
}

void ppi_tensors_random(const struct ppi_config *config, uint64_t seed, struct ppi_tensors *tensors)
{
    *tensors = (struct ppi_tensors){.rules = config->arch->tensors,
                                    .n_rules = ppi_rules_count(config->arch->tensors),
                                    .prefixes = {"model.", "", false},
                                    .seed = seed,
                                    .random_norm = config->arch->norm_plus_one ? 0 : 1,
                                    .random_dtype = config->spec.dtype};
}
