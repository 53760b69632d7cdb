/*
 * test_rope.c: frequencies of rotations against those that transformers 5 computes, and the set
 * that a prompt's length chooses.
 */
#include "dtype.h"
#include "model/config.h"
#include "support/tap.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LLAMA  "{'model_type':'llama',"
#define YARN   "'rope_parameters':{'rope_type':'yarn','rope_theta':10000,'factor':8,"
#define FACTOR "'factor':2.5}}"
#define PHI                                                                                        \
    "{'model_type':'phi3','hidden_size':32,'num_attention_heads':2,'num_key_value_heads':2,"       \
    "'max_position_embeddings':4096,'original_max_position_embeddings':64,"                        \
    "'partial_rotary_factor':0.75,'rope_parameters':{'rope_type':'longrope','rope_theta':10000,"   \
    "'short_factor':[1,1.1,1.3,1.7,2,2.5],'long_factor':[1.5,2.5,4,8,16,32]}}"
#define DYNAMIC                                                                                    \
    LLAMA "'head_dim':16,'max_position_embeddings':128,'rope_parameters':{'rope_type':"            \
          "'dynamic','rope_theta':10000," FACTOR

#define N_PAIRS 5

static const struct {
    const char *name, *text;
    int64_t n_tokens;
    float magnitude;
    struct {
        int32_t i;
        float frequency;
    } pairs[N_PAIRS];
} CASES[] = {
    {"default",
     LLAMA "'head_dim':80,'rope_theta':500000}",
     100,
     1,
     {{0, 1},
      {1, 0.720320463f},
      {20, 0.00141421345f},
      {38, 3.85459361e-06f},
      {39, 2.77654112e-06f}}},
    {"linear",
     LLAMA "'head_dim':16,'rope_scaling':{'type':'linear','factor':3}}",
     100,
     1,
     {{0, 0.333333343f},
      {1, 0.105409257f},
      {4, 0.00333333318f},
      {6, 0.000333333359f},
      {7, 0.000105409265f}}},
    {"llama3",
     LLAMA "'head_dim':64,'rope_theta':500000,'rope_scaling':{'rope_type':'llama3','factor':32,"
           "'low_freq_factor':1,'high_freq_factor':4,'original_max_position_embeddings':8192}}",
     100,
     1,
     {{0, 1},
      {1, 0.663601279f},
      {16, 0.000429556705f},
      {30, 1.41927202e-07f},
      {31, 9.41830649e-08f}}},
    {"yarn",
     "{'model_type':'qwen3','head_dim':64,'rope_theta':1000000,'rope_scaling':{'rope_type':'yarn',"
     "'factor':4,'original_max_position_embeddings':32768}}",
     100,
     1.13862944f,
     {{0, 1},
      {1, 0.649381638f},
      {16, 0.000583333371f},
      {30, 5.92843435e-07f},
      {31, 3.84981632e-07f}}},
    {"yarn, not truncated",
     LLAMA "'head_dim':24," YARN "'beta_fast':4,'beta_slow':0.5,'truncate':false,"
           "'original_max_position_embeddings':64}}",
     100,
     1.20794415f,
     {{0, 1},
      {1, 0.464158893f},
      {6, 0.00124999997f},
      {10, 5.80198684e-05f},
      {11, 2.69304273e-05f}}},
    {"yarn, one step",
     LLAMA "'head_dim':8," YARN "'beta_fast':1,'beta_slow':1,'truncate':false,"
           "'original_max_position_embeddings':640}}",
     100,
     1.20794415f,
     {{0, 1}, {1, 0.100000001f}, {2, 0.00999999978f}, {3, 0.000125000006f}, {3, 0.000125000006f}}},
    {"longrope, short",
     PHI,
     64,
     1.41421356f,
     {{0, 1}, {1, 0.195857689f}, {3, 0.00588235306f}, {4, 0.00107721717f}, {5, 0.000185663579f}}},
    {"longrope, long",
     PHI,
     65,
     1.41421356f,
     {{0, 0.666666687f},
      {1, 0.0861773789f},
      {3, 0.00124999997f},
      {4, 0.000134652146f},
      {5, 1.45049671e-05f}}},
    {"dynamic, short",
     DYNAMIC,
     128,
     1,
     {{0, 1}, {1, 0.316227764f}, {4, 0.00999999978f}, {6, 0.00100000005f}, {7, 0.000316227786f}}},
    {"dynamic, long",
     DYNAMIC,
     200,
     1,
     {{0, 1}, {1, 0.278947681f}, {4, 0.00605467707f}, {6, 0.000471125386f}, {7, 0.000131419336f}}},
    {"an odd part of a head",
     "{'model_type':'glm4','head_dim':18}",
     100,
     1,
     {{0, 1}, {1, 0.129154965f}, {2, 0.0166810062f}, {3, 0.00215443433f}, {4, 0.000278255931f}}},
};

static struct ppi_mem mem;

static struct ppi_config parse(const char *text)
{
    struct ppi_config config;
    pp_error err = {.struct_size = sizeof err};
    char *copy = strdup(text);
    for (char *c = copy; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    ck_assert_int_eq(ppi_mem_init(&mem, NULL, 0, NULL), PP_OK);
    pp_status status = ppi_config_parse(copy, strlen(copy), "config", &mem, NULL, &config, &err);
    ck_assert_msg(status == PP_OK, "%s", err.message);
    free(copy);
    return config;
}

/* pow of the two libraries may differ in the last place, and a step or two after it keep that. */
START_TEST(frequencies_are_those_of_transformers)
{
    float frequencies[256], magnitude;
    struct ppi_config config = parse(CASES[_i].text);
    const struct ppi_rope_spec *rope = &config.spec.ropes[0];
    ppi_rope_frequencies(rope, ppi_rope_set(rope, CASES[_i].n_tokens), frequencies, &magnitude);
    for (int p = 0; p < N_PAIRS; p++) {
        int32_t i = CASES[_i].pairs[p].i;
        ck_assert_int_lt(i, rope->rotary_dim / 2);
        int64_t ulps = (int64_t)ppi_f32_bits(frequencies[i]) -
                       (int64_t)ppi_f32_bits(CASES[_i].pairs[p].frequency);
        ck_assert_msg(ulps >= -2 && ulps <= 2, "%s: pair %d turns by %.9g, not %.9g",
                      CASES[_i].name, i, (double)frequencies[i],
                      (double)CASES[_i].pairs[p].frequency);
    }
    ck_assert(fabsf(magnitude - CASES[_i].magnitude) < 1e-6f);
    ppi_config_free(&config, &mem);
}
END_TEST

START_TEST(sets_by_length)
{
    static const struct {
        const char *text;
        bool depends;
        int64_t n_tokens, set;
    } cases[] = {
        {LLAMA "'head_dim':16}", false, 100000, 0},
        {PHI, true, 1, 0},
        {PHI, true, 64, 0}, /* the last that the short factors serve */
        {PHI, true, 65, 1},
        {PHI, true, 4096, 1},
        {DYNAMIC, true, 128, 0},
        {DYNAMIC, true, 129, 129},
        {DYNAMIC, true, 320, 320},
    };
    for (size_t i = 0; i < PPI_COUNT(cases); i++) {
        struct ppi_config config = parse(cases[i].text);
        ck_assert_int_eq(ppi_spec_rope_depends_on_length(&config.spec), cases[i].depends);
        ck_assert_int_eq(ppi_spec_rope_set(&config.spec, cases[i].n_tokens), cases[i].set);
        ppi_config_free(&config, &mem);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rope");
    TCase *tcase = tcase_create("rope");
    tcase_add_loop_test(tcase, frequencies_are_those_of_transformers, 0, (int)PPI_COUNT(CASES));
    tcase_add_test(tcase, sets_by_length);
    suite_add_tcase(suite, tcase);
    return tap_run(suite, CK_FORK);
}
