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

/* Those of weights that came later are others, and count for all parts: however files have a
 * weight, its rows have the same values. -1: it is one of the first. */
#define N_LATER     64
#define FIRST_LATER ((uint64_t)1 << 40)

static int32_t later_number_of(enum ppi_weight weight)
{
    static const enum ppi_weight later[] = {
        PPI_WEIGHT_ATTN_GATE,        PPI_WEIGHT_SINKS,          PPI_WEIGHT_LINEAR_IN,
        PPI_WEIGHT_LINEAR_CONV,      PPI_WEIGHT_LINEAR_A_LOG,   PPI_WEIGHT_LINEAR_DT_BIAS,
        PPI_WEIGHT_LINEAR_OUT,       PPI_WEIGHT_ROUTER,         PPI_WEIGHT_EXPERT_GATE_UP,
        PPI_WEIGHT_EXPERT_DOWN,      PPI_WEIGHT_SHARED_GATE_UP, PPI_WEIGHT_SHARED_DOWN,
        PPI_WEIGHT_SHARED_GATE,      PPI_WEIGHT_LAYER_TABLE,    PPI_WEIGHT_LAYER_PROJECTION,
        PPI_WEIGHT_LAYER_INPUT_GATE, PPI_WEIGHT_LAYER_INPUT_UP}; /* frozen: add at the end */
    for (size_t i = 0; i < PPI_COUNT(later); i++)
        if (later[i] == weight)
            return (int32_t)i;
    return -1;
}

/* A bijection of 64-bit words in which every input bit reaches every output bit (the finalizer of
 * SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014). */
static inline uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* tensor: the number of a tensor among all of the model. */
static uint64_t row_key(uint64_t seed, uint64_t tensor, int64_t row)
{
    return mix(mix(mix(seed) + tensor + 1) ^ (uint64_t)row);
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

/* ---- vectors ---- */

/* ln 1 .. ln 16 */
static const float LOGARITHMS[16] = {0.0f,        0.69314718f, 1.09861229f, 1.38629436f,
                                     1.60943791f, 1.79175947f, 1.94591015f, 2.07944154f,
                                     2.19722458f, 2.30258509f, 2.39789527f, 2.48490665f,
                                     2.56494936f, 2.63905733f, 2.70805020f, 2.77258872f};

/* A number of a vector that is neither a norm nor a bias, or of one that is. */
static float number_at(const struct ppi_tensors *tensors, enum ppi_weight weight, uint64_t key,
                       int64_t column)
{
    const struct ppi_weight_kind *kind = &ppi_weight_kinds[weight];
    uint64_t h = mix(key + (uint64_t)column * 0x9e3779b97f4a7c15u);
    switch (weight) {
    case PPI_WEIGHT_SINKS: /* as scores of keys are */
        return 50 * value_at(key, column);
    case PPI_WEIGHT_LINEAR_CONV:
        return 10 * value_at(key, column);
    case PPI_WEIGHT_LINEAR_A_LOG: /* decays of exp(-1 dt) to exp(-16 dt) */
        return LOGARITHMS[h >> 60];
    case PPI_WEIGHT_LINEAR_DT_BIAS: /* about the logarithm of a dt of 0.001 to 0.1 */
        return -6.9f + 4.6f * ((float)(h >> 40) * 0x1p-24f);
    case PPI_WEIGHT_LINEAR_D:
    case PPI_WEIGHT_LAYER_SCALE:
    case PPI_WEIGHT_EXPERT_SCALE:
        return 1;
    default:
        return kind->meaning != PPI_MEANS_NORM ? 0 : kind->plain ? 1 : tensors->random_norm;
    }
}

static void fill_vector(const struct ppi_tensors *tensors, enum ppi_weight weight, uint64_t key,
                        int64_t first_column, int64_t n_cols, void *dst)
{
    float *f32 = dst;
    uint16_t *u16 = dst;
    for (int64_t i = 0; i < n_cols; i++) {
        float value = number_at(tensors, weight, key, first_column + i);
        if (tensors->random_dtype == PP_DTYPE_F32)
            f32[i] = value;
        else
            u16[i] = tensors->random_dtype == PP_DTYPE_F16 ? ppi_f32_to_f16(value)
                                                           : ppi_f32_to_bf16(value);
    }
}

/* ---- all ---- */

/* Where a part begins among the rows of its weight, or the elements of its vector. */
static int64_t begin_of(const struct ppi_tensors *tensors, const struct ppi_model_spec *spec,
                        int32_t i_rule, int32_t layer)
{
    int64_t begin = 0, rows, cols;
    const struct ppi_tensor_rule *rule = &tensors->rules[i_rule], *before = rule;
    bool vector = ppi_weight_kinds[rule->weight].matrix == PPI_MATRIX_VECTOR;
    while (before > tensors->rules && before[-1].weight == rule->weight) {
        before--;
        ppi_part_shape(spec, layer, rule->weight, before->part, &rows, &cols);
        if (ppi_rule_holds(before, spec, layer))
            begin += vector ? cols : rows;
    }
    return begin;
}

void ppi_random_read(const struct ppi_tensors *tensors, const struct ppi_model_spec *spec,
                     int32_t i_rule, int32_t layer, int64_t first_row, int64_t n_rows, void *dst)
{
    const struct ppi_rule_at at = ppi_tensors_rule(tensors, spec, i_rule, layer);
    const struct ppi_weight_kind *kind = &ppi_weight_kinds[at.rule->weight];
    uint64_t place = kind->in_layer ? (uint64_t)layer + 1 : 0;
    bool is_embed = at.rule->weight == PPI_WEIGHT_LM_HEAD && spec->tie_embeddings;
    uint64_t key = place * N_NUMBERS + (is_embed ? 0 : number_of(at.rule));
    int32_t later = later_number_of(at.rule->weight);
    int64_t rows, cols, begin = 0, left;
    if (later >= 0) {
        key = FIRST_LATER + place * N_LATER + (uint64_t)later;
        begin = begin_of(tensors, spec, i_rule, layer);
    }
    ppi_part_shape(spec, layer, at.rule->weight, at.rule->part, &rows, &cols);
    size_t row_bytes = (size_t)cols * pp_dtype_size(tensors->random_dtype);
    if (kind->meaning != PPI_MEANS_MATRIX) {
        fill_vector(tensors, at.rule->weight, row_key(tensors->seed, key, 0), begin, cols, dst);
        return;
    }
    for (int64_t i = 0; i < n_rows; i++) {
        int64_t row = later >= 0 ? ppi_weight_row(&at, begin, first_row + i, &left) : first_row + i;
        fill_row(row_key(tensors->seed, key, row), cols, tensors->random_dtype,
                 (char *)dst + (size_t)i * row_bytes);
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
